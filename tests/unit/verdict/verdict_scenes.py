"""Evidence made from scores, and the scenes behind tests/golden.

`python tests/unit/verdict/verdict_scenes.py --write` writes the golden files anew.
"""

import json
import sys
from pathlib import Path

import numpy as np

from tuneworthy.explain.questions import ask_all
from tuneworthy.records.audit_report import Soundness
from tuneworthy.records.causes import Diagnosis, Wrong
from tuneworthy.records.evidence import ArmResult, Evidence, Interval, Pair, Policy
from tuneworthy.records.further import LearningCurve, Proportion
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.records.task import TOOLS, Data, HardLimits, Success, Task
from tuneworthy.records.verdict import Finding
from tuneworthy.stats import bounds
from tuneworthy.verdict.decide import decide

GOLDEN = Path(__file__).parents[2] / "golden"
RANK = {tool: 10 * i for i, tool in enumerate(TOOLS)}


def arm(name, tool, right, n, **more):
    mean, low, high = bounds.mean_interval(np.array([1.0] * right + [0.0] * (n - right)))
    role = more.pop("role", "candidate")
    return ArmResult(
        name=name, tool=tool, role=role, simplicity=RANK.get(tool, 0),
        options=more.pop("options", {}),
        state="measured", n=n, score=Interval(mean=mean, low=low, high=high),
        score_if_right=mean, finalist=role == "candidate" and tool is not None, **more,
    )  # fmt: skip


def pair(arm, versus, wins, losses, n, level, factor=1.0, apart=None):
    diffs = np.array([1.0] * wins + [-1.0] * losses + [0.0] * (n - wins - losses))
    found = bounds.paired(diffs, level, factor=factor)
    return Pair(
        arm=arm, versus=versus, n=n, mean=found.mean, low=found.low, high=found.high, level=level,
        factor=factor, wins=wins, losses=losses, differ=wins + losses, apart=apart,
    )  # fmt: skip


def mirrored(one):
    return one.model_copy(
        update={"arm": one.versus, "versus": one.arm, "mean": -one.mean, "low": -one.high,
                "high": -one.low, "wins": one.losses, "losses": one.wins}
    )  # fmt: skip


def evidence(columns, looks=1, factor=1.0, **more):
    """Return evidence of {name: (tool, scores[, fields])}; a tool of None is a reference."""
    columns = {name: (*given, {})[:3] for name, given in columns.items()}
    n = len(next(iter(columns.values()))[1])
    arms, finalists = [], [name for name, (tool, _, _) in columns.items() if tool]
    for name, (tool, scores, fields) in columns.items():
        role = "candidate" if tool else "reference"
        arms.append(arm(name, tool, int(sum(scores)), n, **{"role": role, **fields}))
    level = bounds.level(0.05, looks, max(1, len(finalists)))
    wanted = [(a, b) for a in finalists for b in columns if a != b]
    pairs = []
    for a, b in wanted:
        diff = np.array(columns[a][1]) - np.array(columns[b][1])
        wins, losses = int((diff > 0).sum()), int((diff < 0).sum())
        pairs.append(pair(a, b, wins, losses, n, level, factor, more.get("apart")))
    more.pop("apart", None)
    return Evidence(
        task="scene", hash="e" * 64, n=n, looks=looks, alpha=0.05, arms=tuple(arms),
        pairs=tuple(pairs), **more,
    )  # fmt: skip


def scores(n, share, seed=0, noise=0.12):
    """Return 0/1 scores: hard cases fail first, and a few at random."""
    rng = np.random.default_rng(seed)
    hard = np.linspace(0, 1, n) + rng.normal(0, noise, n)
    values = np.zeros(n)
    values[np.argsort(hard)[: round(share * n)]] = 1.0
    return values


def worked(policy=None, **more):
    """Return evidence and policy of the worked example: support mail, 250 rows, five folds."""
    n, level = 250, 0.05 / 3
    counts = {
        ("prompt", "keep"): (18, 8), ("schema", "keep"): (41, 14), ("tune", "keep"): (46, 14),
        ("schema", "prompt"): (20, 3), ("tune", "prompt"): (27, 5), ("tune", "schema"): (8, 3),
    }  # fmt: skip
    pairs = [pair(b, s, w, lost, n, level, 1.5, 42) for (b, s), (w, lost) in counts.items()]
    pairs += [mirrored(one) for one in pairs]
    money = {
        "keep": (2.1, 0.0, 0.0), "prompt": (2.4, 600.0, 0.0), "schema": (2.6, 900.0, 0.0),
        "tune": (0.31, 6300.0, 807.0),
    }  # fmt: skip
    right = {"keep": 193, "prompt": 203, "schema": 220, "tune": 225}
    arms = [
        arm(name, name, right[name], n, present=name == "keep",
            **dict(zip(("usd_per_1k", "build_usd", "upkeep_usd_month"), money[name], strict=True)))
        for name in right
    ]  # fmt: skip
    arms.append(arm("zero_shot", "prompt", 145, n).model_copy(update={"finalist": False}))
    found = Evidence(
        task="support", hash="a" * 64, n=n, looks=1, alpha=0.05, arms=tuple(arms),
        pairs=tuple(pairs), **{"pool": 3000, **more},
    )  # fmt: skip
    return found, policy or Policy(margin=0.05, margin_is_default=True)


def ladder_up_to(tool, n=400, gain=0.25):
    """Return evidence on which every rung below `tool` is clearly beaten by it."""
    at = TOOLS.index(tool)
    columns = {"majority": (None, scores(n, 0.1, 9))}
    for i, name in enumerate(TOOLS):
        share = 0.6 if i < at else 0.6 + gain
        columns[name] = (name, scores(n, share, 1 if i < at else 2))
    return evidence(columns)


def scenes():
    """Return {name: a function that makes (evidence, findings, policy)}."""
    plain = Policy(margin=0.05)
    priced = Policy(
        margin=0.05, margin_is_default=True, value_of_correct=0.05, requests_per_month=40000
    )
    volume = priced.model_copy(update={"value_of_correct": None})
    valid = Policy(margin=0.05, limits=HardLimits(valid=0.95), target=0.95)
    cheap = Policy(margin=0.05, motive="cost")
    thin = Policy(margin=0.1, target=0.7, label_each=0.5)
    found = {f"use-{t}": lambda t=t: (ladder_up_to(t), (), plain) for t in TOOLS}
    return found | {
        "none-firm": lambda: (no_better(300, 0.3, 0.5, 0.12), (), plain),
        "none-provisional": lambda: (no_better(90, 0.5, 0.48, 0.4), (), plain),
        "blocked": lambda: (blocked(), (), plain),
        "worked-example": lambda: _with_findings(*worked()),
        "worked-example-across": lambda: _asked(read_across(worked()[0]), worked()[1]),
        "worked-example-priced": lambda: (worked()[0], (), priced),
        "worked-example-volume-only": lambda: (worked()[0], (), volume),
        "worked-example-upkeep": lambda: (
            with_upkeep(worked()[0]),
            (),
            priced.model_copy(update={"requests_per_month": 700_000}),
        ),
        "retire-for-a-newer-base": lambda: (
            newer_base(),
            (),
            priced.model_copy(update={"requests_per_month": 200_000, "margin_is_default": False}),
        ),
        "cost-break-even": lambda: (
            dearer_to_keep(),
            (),
            cheap.model_copy(update={"requests_per_month": 50_000}),
        ),
        "retire": lambda: (retire(), (), Policy(margin=0.05, requests_per_month=1000)),
        "cost-cheapest": lambda: (cost(0.9), (), cheap.model_copy(update={"target": 0.8})),
        "cost-keep": lambda: (cost(0.5), (), cheap),
        "limit-broken": lambda: (limited_arm(), (), valid),
        "second-look-few-rows": lambda: (few_rows(), (), thin),
        "reader-left-out": lambda: (reader_left_out(), (), plain),
    }


def read_across(found):
    """Return the evidence with what the worked example says was wrong."""
    wrong = [
        Wrong(cause="format", share=0.684211, low=0.547588, high=0.800919, n=57, arm="schema",
              placebo="a random legal answer"),
        Wrong(cause="hard", share=0.157895, low=0.074785, high=0.278728, n=57, arm=None,
              placebo=None),
    ]  # fmt: skip
    seen = Diagnosis(arm="keep", n_fail=57, n_pass=193, wrong=tuple(wrong))
    return found.model_copy(update={"diagnosis": seen})


def no_better(n, share, reference, noise):
    low = {t: (t, scores(n, share, i, noise)) for i, t in enumerate(("prompt", "tune"))}
    return evidence({"majority": (None, scores(n, reference, 7, noise)), **low})


def blocked():
    reason = "12 test rows stand in train"
    return ladder_up_to("schema", n=100).model_copy(update={"blocks": (reason,)})


def few_rows():
    columns = {t: (t, scores(60, 0.7, i)) for i, t in enumerate(("prompt", "tune"))}
    return evidence(columns, looks=2)


def reader_left_out():
    """Return questions with passages that can't be read, and training with passages left out."""
    columns = {
        "copy_input": (None, scores(400, 0.044, 1, 0.6)),
        "zero_shot": ("prompt", scores(400, 0.05, 2, 0.6)),
        "rag": ("context", scores(400, 0.08, 3, 0.6), {"repairs": ("knowledge", "retrieval")}),
        "lora": ("tune", scores(400, 0.05, 4, 0.6), {"repairs": ("latent", "learnable")}),
    }
    found = evidence(columns)
    left = arm("rag_lora", "tune", 0, 1).model_copy(update={
        "score": None, "state": "skipped", "because": NO_ROOM, "n": 0, "finalist": False,
        "repairs": ("knowledge", "latent", "learnable", "reading"), "more_minutes": 11.2,
        "more_usd": 0.0,
    })  # fmt: skip
    shares = {"reading": (0.91, 0.877, 0.936), "hard": (0.09, 0.064, 0.123)}
    wrong = [
        Wrong(cause=cause, share=mean, low=low, high=high, n=380, arm=None, placebo=None)
        for cause, (mean, low, high) in shares.items()
    ]
    seen = Diagnosis(arm="zero_shot", n_fail=380, n_pass=20, wrong=tuple(wrong))
    return found.model_copy(update={"arms": (*found.arms, left), "diagnosis": seen})


def _with_findings(found, policy):
    harm = Finding(name="harm", answer="no", because="every upper end lies below", value=0.01,
                   low=-0.01, high=0.02, prior="general ability falls by 10 %")  # fmt: skip
    return found, (harm,), policy


def _asked(found, policy):
    """Return the evidence with what was measured beside the matrix, and what the questions say."""
    few, none = Proportion(k=9, n=250, share=0.036, low=0.0166, high=0.0672), {"k": 0, "n": 250}
    clean = Proportion(**none, share=0.0, low=0.0, high=0.0146)
    steep = Interval(mean=0.03, low=0.004, high=0.058)
    found = found.model_copy(update={
        "train": 200,
        "soundness": Soundness(n=250, mde=0.055, differ=0.044, ladder={"another row": 1.0},
                               gold=1.0, leak=0.0, contradictions=clean, noise=few),
        "curves": (LearningCurve(arm="tune", tool="tune", last_doubling=steep, needed=420.0,
                                 low=330.0, high=610.0),),
        "missing": {"staleness": "keys knowledge.changed_share and knowledge.over"},
    })  # fmt: skip
    task = Task(data=Data(file="rows.jsonl"), success=Success(margin=policy.margin))
    return found, ask_all(found, task), policy


def retire():
    values = scores(600, 0.9, 3, 0.01)
    return evidence({
        "prompt": ("prompt", values, {"usd_per_1k": 1.0}),
        "today": ("tune", values, {"present": True, "usd_per_1k": 3.0}),
    })  # fmt: skip


def with_upkeep(found):
    """Return the worked example with its upkeep in parts: $567 hosting, $720 every 90 days."""
    parts = {"retrain_usd": 720.0, "retrain_days": 90.0, "usd_per_1k_se": 0.01}
    arms = [a.model_copy(update=parts) if a.tool == "tune" else a for a in found.arms]
    return found.model_copy(update={"arms": tuple(arms)})


def newer_base():
    """Return evidence on which a prompt on a newer base does as well as the tuned model of today.

    The newer base is a remote model whose end is announced.
    """
    values = scores(600, 0.9, 3, 0.01)
    listed = {"price_from": "list price of new, read on 2026-10-27", "expires": "2027-01-14"}
    return evidence({
        "few_shot": ("prompt", values, {
            "usd_per_1k": 0.9, "build_usd": 0.0, "upkeep_usd_month": 0.0, **listed}),
        "today": ("tune", values, {
            "present": True, "usd_per_1k": 0.4, "build_usd": 0.0, "upkeep_usd_month": 807.0,
            "retrain_usd": 720.0, "retrain_days": 90.0}),
    })  # fmt: skip


def dearer_to_keep():
    """Return evidence on which a small tuned model is cheaper a request and dear to keep up."""
    found = cost(0.9)
    fixed = {"today": (0.0, 0.0), "small": (3700.0, 250.0), "dear": (0.0, 0.0), "majority": (0, 0)}
    arms = [
        a.model_copy(
            update=dict(zip(("build_usd", "upkeep_usd_month"), fixed[a.name], strict=True))
        )
        for a in found.arms
    ]
    return found.model_copy(update={"arms": tuple(arms)})


def cost(share):
    today = scores(500, 0.9, 3, 0.02)
    return evidence({
        "majority": (None, scores(500, 0.1, 3)),
        "today": ("keep", today, {"present": True, "usd_per_1k": 3.0}),
        "small": ("tune", scores(500, share, 3, 0.02), {"usd_per_1k": 0.2}),
        "dear": ("bigger", scores(500, 0.95, 3, 0.02), {"usd_per_1k": 9.0}),
    })  # fmt: skip


def limited_arm():
    return evidence({
        "prompt": ("prompt", scores(300, 0.8, 1), {"limits": {"valid": "violated"}}),
        "schema": ("schema", scores(300, 0.8, 2), {"limits": {"valid": "not shown"}}),
    })  # fmt: skip


def write():
    for name, make in scenes().items():
        found, findings, policy = make()
        verdict = decide(found, findings, policy, version="golden")
        whole = {
            "evidence": found.plain(),
            "findings": [finding.plain() for finding in findings],
            "policy": policy.plain(),
            "verdict": verdict.plain(),
        }
        (GOLDEN / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write()


def short_of_the_reference():
    """Two equal arms: the tuned one is shown better than the reference, what runs today is not."""
    found = evidence({
        "majority": (None, scores(400, 0.5, 7, 0.3)),
        "keep": ("keep", scores(400, 0.5, 0)),
        "tune": ("tune", scores(400, 0.5, 0)),
    })  # fmt: skip
    ends = {("keep", "majority"): -0.01, ("tune", "majority"): 0.02}
    pairs = [p.model_copy(update={"low": ends.get((p.arm, p.versus), p.low)}) for p in found.pairs]
    return found.model_copy(update={"pairs": tuple(pairs)})
