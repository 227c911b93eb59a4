"""A realistic study to draw: 250 support mails, the counts of the design's worked example."""

from __future__ import annotations

import math
import random
from typing import Any

from scipy.stats import beta, norm

from tuneworthy.matrix import ladder
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.audit_report import Audit, DetectableDifference, Observation
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import ArmResult, Evidence, Interval, Latency, Pair, Tokens
from tuneworthy.records.plan import Plan, PlannedArm
from tuneworthy.records.results import GridPoint, Results
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Economics, HardLimits, Output, Present, Success, Task
from tuneworthy.records.verdict import (
    ByMargin,
    Delta,
    Finding,
    LeftOnTable,
    Next,
    TaskName,
    Verdict,
    VerdictArm,
    Wrong,
)  # fmt: skip
from tuneworthy.report.html import _report_templates
from tuneworthy.report.page_parts import Section
from tuneworthy.verdict.missing import reasons_for_nulls

LEVEL, FACTOR = 0.05 / 3, 1.5
# how many of 250 cases keep, prompt, schema and tune answer right: chosen so that every pair has
# the wins and losses of decision.md's worked example (where those can hold together)
PATTERNS = {"0000": 11, "0001": 5, "0011": 16, "0111": 25, "1000": 9, "1011": 6, "1100": 2,
            "1101": 3, "1110": 3, "1111": 170}  # fmt: skip
FINALISTS = ("present", "nearest_shots", "constrained", "lora")
ARMS: dict[str, dict[str, Any]] = {
    "majority": {"role": "reference", "tool": None, "simplicity": 0, "usd": 0.0, "ms": 1},
    "present": {"tool": "keep", "simplicity": 0, "usd": 2.10, "ms": 1450},
    "zero_shot": {"tool": "prompt", "simplicity": 0, "usd": 1.90, "ms": 1210},
    "nearest_shots": {"tool": "prompt", "simplicity": 2, "usd": 2.40, "ms": 1630,
                      "options": {"k": 8}},
    "constrained": {"tool": "schema", "simplicity": 0, "usd": 2.60, "ms": 1710},
    "lora": {"tool": "tune", "simplicity": 0, "usd": 0.31, "ms": 420, "options": {"rank": 16}},
    "rules_engine": {"tool": None, "simplicity": 9, "usd": None, "ms": None},
    "oracle": {"role": "ceiling", "tool": None, "simplicity": 0, "usd": 2.95, "ms": 1800},
}  # fmt: skip
PEOPLE = ["Mira", "Tomás", "Yuki", "Adaeze", "Piet", "Léa", "Sanjay", "Olga", "Wei", "Hanne"]
TROUBLE = [
    "the invoice shows a wrong sum", "my parcel never came", "I can't sign in",
    "the app closes when I pay", "please cancel my order", "the refund is missing",
]  # fmt: skip
KINDS = ["billing", "shipping", "access", "bug", "order", "refund"]


def paired_bounds(wins: int, losses: int, n: int) -> tuple[float, float, float]:
    """Return mean and one-sided bounds of a paired 0/1 difference, as the design writes them."""
    mean = (wins - losses) / n
    if wins + losses < 10:

        def low(k: int) -> float:
            return beta.ppf(LEVEL / 2, k, n - k + 1) if k else 0.0

        def high(k: int) -> float:
            return beta.ppf(1 - LEVEL / 2, k + 1, n - k)

        lower, upper = low(wins) - high(losses), high(wins) - low(losses)
    else:

        def z(d: float) -> float:
            b = -wins - losses + (2 * n - wins + losses) * d
            q = (math.sqrt(max(b * b + 8 * n * losses * d * (1 - d), 0)) - b) / (4 * n)
            return (wins - losses - n * d) / math.sqrt(max(n * (2 * q + d * (1 - d)), 1e-12))

        def root(target: float) -> float:
            lo, hi = -1 + 1e-9, 1 - 1e-9
            for _ in range(50):
                mid = (lo + hi) / 2
                lo, hi = (mid, hi) if z(mid) > target else (lo, mid)
            return lo

        lower, upper = root(norm.ppf(1 - LEVEL)), root(-norm.ppf(1 - LEVEL))
    return mean, mean - FACTOR * (mean - lower), mean + FACTOR * (upper - mean)


def rate(k: int, n: int) -> Interval:
    """Return a share with its two-sided 95 % Clopper-Pearson interval."""
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return Interval(mean=k / n, low=float(low), high=float(high))


def make_cases(n: int, rng: random.Random) -> tuple[Case, ...]:
    """Return n support mails with their JSON answers."""
    cases = []
    for i in range(n):
        who, at = rng.choice(PEOPLE), rng.randrange(len(KINDS))
        order = rng.choice([f"A-{rng.randrange(10000, 99999)}", None])
        text = f"Hi, {TROUBLE[at]}{f' (order {order})' if order else ''}. Thanks, {who}"
        gold = f'{{"kind": "{KINDS[at]}", "customer": "{who}", "order": {_json(order)}}}'
        cases.append(
            Case(
                id=f"t{i:04d}",
                messages=(Message(role="user", content=text),),
                output=gold,
                group=f"customer-{i % 40}",
                where=f"tickets.jsonl:{i + 1}",
            )
        )
    return tuple(cases)


def _json(value: str | None) -> str:
    return f'"{value}"' if value else "null"


def right_by_arm(n: int, rng: random.Random) -> dict[str, list[float | None]]:
    """Return for each arm which of n cases it answers right."""
    columns = [p for p, count in PATTERNS.items() for _ in range(count)]
    columns = [columns[i * len(columns) // n] for i in range(n)]
    rng.shuffle(columns)
    right: dict[str, list[float | None]] = {
        arm: [float(column[at]) for column in columns] for at, arm in enumerate(FINALISTS)
    }
    right["majority"] = [float(rng.random() < 0.12) for _ in columns]
    right["zero_shot"] = [float(c[0] == "1" and rng.random() < 0.75) for c in columns]
    right["rules_engine"] = [None if rng.random() < 0.04 else float(rng.random() < 0.6)
                             for _ in columns]  # fmt: skip
    right["oracle"] = [float("1" in c and rng.random() < 0.98) for c in columns]
    right["lora:shuffled"] = [float(c[0] == "1" and rng.random() < 0.6) for c in columns]
    return right


def _answer(case: Case, arm: str, value: float | None, rng: random.Random) -> Answer:
    wrong = rng.choice([
        case.output.replace("}", ""),
        'Sure! Here is the JSON:\n```json\n{"kind": "billing"}\n```',
        case.output.replace('"order": "', '"order": "B'),
        case.output.replace('"kind": "', '"kind": "other '),
    ])  # fmt: skip
    shots = [
        Message(role="user", content=f"Hi, {rng.choice(TROUBLE)}. Thanks, {rng.choice(PEOPLE)}")
    ]
    system = "Read the message and answer with a JSON object that follows the schema."
    prompt = (Message(role="system", content=system), *(shots if "shots" in arm else ()))
    cost = ARMS.get(arm, {}).get("usd")
    return Answer(
        case=case.id,
        text=case.output if value == 1 else wrong,
        tokens_in=180 + len(case.input) // 4,
        tokens_out=24,
        seconds=(ARMS.get(arm, {}).get("ms") or 500) / 1000 * rng.uniform(0.8, 1.3),
        usd=cost / 1000 if cost is not None else None,
        finish="stop" if value else "length",
        error="the endpoint timed out" if value is None else None,
        prompt=(*prompt, *case.messages) if arm != "rules_engine" else (),
    )


def make_runs(
    cases: tuple[Case, ...], right: dict[str, list[float | None]], rng: random.Random
) -> tuple[Run, ...]:
    """Return one run an arm, seed and fold (five folds; the tuned arm has two seeds)."""
    runs = []
    for arm, values in right.items():
        role = "placebo" if ":" in arm else ARMS[arm].get("role", "candidate")
        tool = ARMS.get(arm, {}).get("tool")
        spec = Spec(name=arm, arm=arm.split(":")[0], tool=tool, role=role,
                    options=ARMS.get(arm, {}).get("options", {}))  # fmt: skip
        for seed in range(2 if arm == "lora" else 1):
            for fold in range(5):
                ids = range(fold, len(cases), 5)
                kept = [_flip(values[i], rng if seed else None) for i in ids]
                answers = [_answer(cases[i], arm, v, rng) for i, v in zip(ids, kept, strict=True)]
                scores = [_score(cases[i], v) for i, v in zip(ids, kept, strict=True)]
                trained = arm in ("lora", "lora:shuffled")
                runs.append(
                    Run(
                        spec=spec,
                        seed=seed,
                        fold=fold,
                        state="measured",
                        answers=tuple(answers),
                        scores=tuple(scores),
                        dev=0.85 + fold / 100,
                        learned=trained,
                        fit_seconds=212.0 if trained else None,
                        trace=make_trace(rng) if trained else None,
                    )
                )
    return tuple(runs)


def _flip(value: float | None, rng: random.Random | None) -> float | None:
    return value if rng is None or value is None or rng.random() > 0.04 else 1 - value


def _score(case: Case, value: float | None) -> Score | Unscored:
    if value is None:
        return Unscored(reason="the answer failed: the endpoint timed out")
    why = "all 3 fields equal" if value else "kind: expected "
    why += "" if value else f"{case.output[9:20]}…, got nothing"
    return Score(value=value, why=why, extracted=case.output if value else None, valid=value > 0)


def make_trace(rng: random.Random) -> dict[str, Any]:
    """Return a training trace: 6 epochs of 15 steps, scored on dev after each, epoch 5 chosen."""
    steps = [
        {"epoch": 1 + s // 15, "loss": 0.18 + 2.1 * math.exp(-s / 18) * rng.uniform(0.85, 1.2),
         "rate": 2e-4 * min(1, (s + 1) / 6), "norm": rng.uniform(0.4, 1.6), "clipped": s % 7 == 0,
         "tokens": 380, "read": 2100}
        for s in range(90)
    ]  # fmt: skip
    seen = [
        {"epoch": e, "dev_score": 0.93 - 0.6 * math.exp(-e / 1.5) - (0.02 if e > 5 else 0),
         "dev_loss": 0.3 + 0.9 * math.exp(-e) + (0.04 * max(e - 4, 0)), "p_end": 0.99}
        for e in range(1, 7)
    ]  # fmt: skip
    rows = {"given": 160, "used": 158, "excluded": {"longer than the context": ["t0007", "t0009"]}}
    return {"steps": steps, "evaluations": seen, "chosen": 5, "rows": rows, "mask_share": 0.21,
            "truncated": 0, "clip_rate": 0.14, "seconds": 212.0, "tokens_per_second": 890.0,
            "parameters": 4_884_480, "seed": 0}  # fmt: skip


def make_arms(right: dict[str, list[float | None]], n: int) -> tuple[ArmResult, ...]:
    """Return the arms down the matrix, and two that were not measured."""
    arms = []
    for name, arm in ARMS.items():
        known = [v or 0.0 for v in right[name]]  # an answer that failed counts as wrong
        ms = arm["ms"]
        no_price = "the answers were recorded without prices and seconds"
        arms.append(
            ArmResult(
                name=name,
                tool=arm["tool"],
                role=arm.get("role", "candidate"),
                simplicity=arm["simplicity"],
                options=arm.get("options", {}),
                state="measured",
                seed=0,
                seeds=2 if name == "lora" else 1,
                n=len(known),
                score=rate(int(sum(known)), len(known)),
                valid=rate(int(len(known) * 0.97), n),
                latency_ms=Latency(p50=ms, p95=ms * 1.6, concurrency=1) if ms else None,
                tokens=Tokens(**{"in": 180.0, "out": 24.0}) if ms else None,
                usd_per_1k=arm["usd"],
                fit_seconds=1060.0 if name == "lora" else None,
                errors=right[name].count(None),
                learned=name in FINALISTS[1:],
                finalist=name in FINALISTS,
                chosen="best dev score of its tool" if name in FINALISTS else "",
                dev=0.87 if name in FINALISTS else None,
                seed_sd=0.012 if name == "lora" else None,
                limits={"valid": "met", "p95_ms": "met" if ms else "not measured"}
                if name != "zero_shot"
                else {"valid": "violated", "p95_ms": "met"},
                missing={} if ms else {"latency_ms": no_price, "usd_per_1k": no_price},
            )
        )
    for name, tool, state, why in (
        ("tfidf", "classifier", "skipped", "the output is JSON: there is no closed set of labels"),
        ("bigger", "bigger", "failed", "the endpoint refused the key (401) three times"),
    ):
        arms.append(ArmResult(name=name, tool=tool, role="candidate", simplicity=0, options={},
                              state=state, because=why))  # fmt: skip
    return tuple(arms)


def make_pairs(right: dict[str, list[float | None]]) -> tuple[Pair, ...]:
    """Return every ordered pair of finalists, and each finalist against the reference."""
    pairs = []
    for arm in FINALISTS:
        for versus in (*FINALISTS, "majority"):
            if arm == versus:
                continue
            both = [(a, b) for a, b in zip(right[arm], right[versus], strict=True)]
            wins, losses = sum(a > b for a, b in both), sum(a < b for a, b in both)
            mean, low, high = paired_bounds(wins, losses, len(both))
            pairs.append(Pair(arm=arm, versus=versus, n=len(both), mean=mean, low=low, high=high,
                              level=LEVEL, factor=FACTOR, wins=wins, losses=losses,
                              differ=wins + losses))  # fmt: skip
    return tuple(pairs)


def make_task() -> Task:
    """Return the task of the worked example."""
    return Task(
        name="support-tickets",
        instruction="Read the message and answer with a JSON object that follows the schema.",
        data=Data(file="tickets.jsonl"),
        output=Output(type="json", max_tokens=80),
        success=Success(metric="exact", target=0.90, margin=0.05, pass_at=1.0,
                        limits=HardLimits(valid=0.95, p95_ms=3000)),
        present=Present(model="openai:gpt-4o-mini", prompt="prompt.md"),
        model="openai:gpt-4o-mini",
        tune="hf:Qwen/Qwen3-4B",
        economics=Economics(requests_per_month=40_000, value_of_correct=0.05),
        inferred=("output.schema",),
    )  # fmt: skip


def make_audit(n: int) -> Audit:
    """Return what an audit sees in such rows."""
    return Audit(
        rows=n + 6, used=n, excluded={"exact copy": 4, "empty answer": 2}, scored=n, folds=5,
        conflict_share=0.008,
        observations=(
            Observation(kind="near_copy", level="warning", count=7, ids=("t0004", "t0091", "t0112"),
                        text="7 rows are near-copies of others; each group shares a fold",
                        fix="keep one of each group"),
            Observation(kind="conflict", level="warning", count=2, ids=("t0031", "t0170"),
                        text="2 rows have the same input and different answers",
                        fix="decide which answer is right"),
            Observation(kind="rare", level="note", count=9, ids=(),
                        text="`order` is null in 9 of 40 groups"),
        ),
        classes={"billing": 46, "shipping": 44, "access": 41, "bug": 40, "order": 40, "refund": 39},
        lengths={"prompt": (31, 48, 71, 92), "answer": (16, 24, 31, 38)}, unit="tokens",
        visible=DetectableDifference(n=n, d=0.2, factor=FACTOR, prompts=0.078, fitted=0.117),
    )  # fmt: skip


def make_plan(n: int) -> Plan:
    """Return the plan that was frozen before the first arm."""
    planned = [
        PlannedArm(spec=Spec(name=name, arm=name, tool=arm["tool"],
                             role=arm.get("role", "candidate")),
                   folds=(0, 1, 2, 3, 4), seeds=(0, 1) if name == "lora" else (0,), requests=n,
                   tokens=n * 204, minutes=1.5 if name != "lora" else 9.0,
                   usd=arm["usd"] * n / 1000 if arm["usd"] is not None else None)
        for name, arm in ARMS.items()
    ]  # fmt: skip
    why = "the output is JSON: there is no closed set of labels"
    planned.append(PlannedArm(spec=Spec(name="tfidf", arm="tfidf", tool="classifier"), because=why))
    return Plan(task="3f2a", rows="91bc", k=5, scored=n, train=160, dev=40, arms=tuple(planned),
                cuts=("temperatures 0 to 1.3", "SliCK"), minutes=18.0, tokens_per_second=410.0,
                visible=make_audit(n).visible)  # fmt: skip


def climb(pairs: tuple[Pair, ...], margin: float) -> tuple[str, float, str]:
    """Return (arm, left, status) by the ladder rule; the drawn grid uses it."""
    known = {(p.arm, p.versus): (p.mean, p.low, p.high) for p in pairs}
    rung = ladder.climb(FINALISTS, known, margin)
    return rung.name, rung.left, "firm" if rung.firm else "provisional"


def make_verdict(arms: tuple[ArmResult, ...], pairs: tuple[Pair, ...], task: Task) -> Verdict:
    """Return the verdict of the worked example: schema, provisional, 7 points left."""
    named, left, status = climb(pairs, task.success.margin)
    against = {p.arm: p for p in pairs if p.versus == named}
    rows, missing = [], {}
    for i, arm in enumerate(arms):
        pair = against.get(arm.name)
        delta = pair and Delta(versus=named, mean=pair.mean, low=pair.low, high=pair.high)
        plain = arm.model_dump(include=SHARED) | {"because": str(arm.because or "")}
        rows.append(VerdictArm(delta=delta, valid=arm.valid.mean if arm.valid else None,
                               **plain))  # fmt: skip
        for field in NULLABLE:
            if getattr(rows[-1], field) is None:
                missing[f"/arms/{i}/{field}"] = str(
                    arm.missing.get(field) or arm.because or NO_CLAIM
                )
    tools = {arm.name: arm.tool for arm in arms}
    strip = [(m / 100, *climb(pairs, m / 100)) for m in range(21)]
    missing["/changes"] = "what tuning changed is measured with --changes only"
    missing["/target_met"] = "the interval holds the target"
    missing["/questions/1/value"] = "the prompt was not optimised (arm optimised_prompt)"
    missing["/economics/hours"] = "economics.hours_to_build is not set"
    made = Verdict(
        tuneworthy="0.1.0", task=TaskName(name=task.name, hash=task.hash), use=tools[named],
        arm=named, status=status,
        left_on_table=LeftOnTable(points=left, level=0.95, versus=named, arm=max(
            (arm for arm in against if arm in FINALISTS), key=lambda arm: against[arm].high)),
        by_margin=tuple(ByMargin(margin=m, use=tools[a], arm=a, status=s) for m, a, _, s in strip),
        next=Next(do="settle", clicks=71, why="the two finalists differ on 17 % of the inputs"),
        because="keep and prompt are beaten by more than 5 points; nothing is shown to beat schema",
        target_met=None, looks=1, arms=tuple(rows),
        wrong=(Wrong(cause="format", share=0.684, low=0.555, high=0.79, n=57, arm="constrained",
                     placebo="a random legal answer"),),
        questions=(
            Finding(name="enough_data", answer="yes", because="the last doubling adds < 5 points",
                    value=0.01, low=-0.02, high=0.04, prior="500 examples"),
            Finding(name="prompt_exhausted", answer="not_measured",
                    because="the prompt was not optimised", next="add optimised_prompt",
                    prior="a good prompt reaches 80 to 90 %"),
            Finding(name="economics", answer="no", value=0.04, low=0.01, high=0.1,
                    because="tuning pays above 382,000 requests a month; you have 40,000"),
        ),
        economics={"break_even_per_month": 382_067.0, "side": "above", "rival": "lora",
                   "lacking": [], "hours": None},
        missing=missing, seconds=1082.0, evidence_hash="5e" * 32,
    )  # fmt: skip
    reasons = reasons_for_nulls(made.plain(), {arm.name: arm for arm in arms}, missing)
    return made.model_copy(update={"missing": reasons})


SHARED = {"name", "tool", "role", "simplicity", "options", "seed", "seeds", "n", "score",
          "latency_ms", "tokens", "usd_per_1k", "fit_seconds", "state", "because"}  # fmt: skip
NULLABLE = ("score", "delta", "valid", "latency_ms", "tokens", "usd_per_1k", "fit_seconds", "seed")
NO_CLAIM = "no claim: it is no finalist, or it is not trained"


def make_grid(pairs: tuple[Pair, ...], arms: tuple[ArmResult, ...]) -> tuple[GridPoint, ...]:
    """Return verdicts over margin and volume; above 382,067 requests a month tuning pays."""
    tools = {arm.name: arm.tool for arm in arms}
    grid = []
    for volume in (1_000.0, 10_000.0, 40_000.0, 100_000.0, 400_000.0, 1_000_000.0):
        for m in range(21):
            arm, left, status = climb(pairs, m / 100)
            if volume > 382_067 and m <= 8:
                arm, left, status = "lora", 0.0, "firm"
            grid.append(GridPoint(margin=m / 100, requests_per_month=volume, use=tools[arm],
                                  arm=arm, status=status, left=left))  # fmt: skip
    return tuple(grid)


def study(n: int = 250, seed: int = 7) -> Results:
    """Return the whole drawn study over n cases."""
    rng = random.Random(seed)
    cases, right, task = make_cases(n, rng), right_by_arm(n, rng), make_task()
    arms, pairs = make_arms(right, n), make_pairs(right)
    return Results(
        task=task, audit=make_audit(n), plan=make_plan(n), cases=cases,
        runs=make_runs(cases, right, rng),
        evidence=Evidence(task=task.hash, hash="5e" * 32, n=n, looks=1, alpha=0.05, arms=arms,
                          pairs=pairs, d=0.17, pool=420),
        verdict=make_verdict(arms, pairs, task), grid=make_grid(pairs, arms),
        reproduce={"command": "tuneworthy run task.yaml --seed 0", "tuneworthy": "0.1.0",
                   "python": "3.11.9", "cpu": "2 cores, AVX2", "wall_seconds": 1082.0,
                   "rows": "91bc" * 16},
    )  # fmt: skip


FREE = {"because", "text", "why", "extracted", "output", "reason", "error", "where", "content",
        "instruction", "do", "fix", "next", "cause", "prior", "group", "chosen", "note", "id",
        "case", "name", "arm", "versus", "placebo", "model", "present", "tune"}  # fmt: skip
TIED = {"id", "case", "name", "arm", "versus", "placebo"}


def drawn(section: Section) -> str:
    """Return a section as it stands on the page."""
    shown: str = _report_templates().get_template("_section.html.j2").module.show_section(section)
    return shown


def attacked(results: Results, attack: str) -> Results:
    """Return the study with an attack string in every text field (the task's name is checked)."""

    def walk(value: Any, key: str, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            keep = path[:1] == ("task",)
            return {
                (k + attack if key in ("classes", "excluded", "lengths", "options",
                                       "reproduce", "limits") and not keep else k):
                walk(v, k, (*path, k)) for k, v in value.items()
            }  # fmt: skip
        if isinstance(value, list):
            return [walk(item, key, path) for item in value]
        free = (
            key in FREE or key in ("ids", "blocks", "cuts", "notes") or path[:1] == ("reproduce",)
        )
        free = free or "missing" in path
        free = free or path[-2:] in {("because", "about"), ("because", "text")}
        if path[-2:] in {("task", "name"), ("spec", "arm"), ("because", "why")}:  # data sets none
            return value
        return value + attack if isinstance(value, str) and free else value

    plain = results.plain()
    changed = {key: walk(value, key, (key,)) for key, value in plain.items()}
    return Results.model_validate(changed)
