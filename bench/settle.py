"""How many clicks settle a verdict, and how many plain labels come to the same: measured.

usage: settling.py [REPETITIONS] [FOLDER]

Simulated pairs of arms first, then two real sets of FOLDER (banking77, snips_json: train.jsonl and
test.jsonl) on which right answers play the person. The systems are fitted on rows of their own; 250
other rows are the study's, the rest is the pool. All stop where the rival is shown to be better
by no more than the margin, or the named arm is beaten. Beside clicks stand two ways to label
plainly, in the same order of inputs, until the bound is where settling brought it. `free`: the
fixed-n bound of all rows, looked at every ten labels at the level of one second look: that favours
it, for such a bound does not hold so. `asked`: as many labels as the next step of the verdict asks
for (twice the rows of now at most; 250 where it names none), a look at the level of that look, and
again. JSON is right where every field is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _bench import write
from _systems import labels, records

from tuneworthy.matrix.sizing import superiority_assurance
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import Pair
from tuneworthy.records.settlement import PairwiseVote
from tuneworthy.records.task import Data, Output, Success, Task
from tuneworthy.stats import bounds
from tuneworthy.verdict.open_pairs import OpenPair
from tuneworthy.verdict.pairwise_votes import PairwiseVotes
from tuneworthy.verdict.sequential import PairStream

MARGIN, STUDY, STEP, ALPHA = 0.05, 250, 10, 0.05
LEVEL = bounds.level(ALPHA, 2, 2)
CELLS = (
    (0.1, 0.0, 1.0), (0.1, 0.0, 1.5), (0.2, 0.0, 1.0), (0.2, 0.0, 1.5), (0.2, 0.1, 1.5),
    (0.4, 0.0, 1.0), (0.4, 0.0, 1.5),
)  # fmt: skip
"""Share of rows on which scores differ, true gain of the rival, width factor of the study."""


class Cost(NamedTuple):
    """What one study and pool cost: clicks, labels looked at for free, labels as `next` asks for.

    `ended`: settling came to the margin, plain labels to the bound that settling came to, each
    before the pool was spent.
    """

    clicks: int
    free: int
    asked: int
    ended: tuple[bool, bool, bool]


def main() -> None:
    """Measure and write bench/results/settle.json."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    told: dict[str, Any] = {"margin": MARGIN, "study": STUDY, "level": LEVEL, "simulated": {}}
    for d, gap, factor in CELLS:
        name = f"differ on {d}, truth {gap}, factor {factor}"
        told["simulated"][name] = summary(_simulated(d, gap, factor, runs))
        print(name, told["simulated"][name], flush=True)
    if len(sys.argv) > 2:
        for kind, made in (("banking77", labels), ("snips_json", records)):
            told[kind] = _real(Path(sys.argv[2]) / kind, kind, made, runs)
    told["repetitions"], told["summary"] = runs, headline(told)
    write("settle", told)


def headline(told: dict[str, Any]) -> dict[str, float]:
    """Return clicks over labels by pair, of the pairs that were left open at least five times."""
    out = {}
    for where in ("simulated", "banking77", "snips_json"):
        for name, one in told.get(where, {}).items():
            for way in ("free", "asked"):
                if one["open"] >= 5:
                    out[f"{where}, {name}: clicks over labels, {way}"] = one[f"clicks_over_{way}"]
    return out


def summary(costs: Sequence[Cost]) -> dict[str, Any]:
    """Return medians over the runs that a study left open, and ratios of sums over labels.

    Labels are those that bring the bound to where settling brought it, at the margin or, where the
    pool was spent, above. Labels that did not come there count with the whole pool.
    """
    told: dict[str, Any] = {"open": len(costs)}
    for at, name in enumerate(("clicks", "free", "asked")):
        told[f"{name}_ended"] = sum(cost.ended[at] for cost in costs)
        told[f"{name}_median"] = float(np.median([cost[at] for cost in costs])) if costs else None
    for at, name in ((1, "free"), (2, "asked")):
        plain = sum(cost[at] for cost in costs)
        ratio = sum(cost.clicks for cost in costs) / plain if plain else None
        told[f"clicks_over_{name}"] = None if ratio is None else round(ratio, 3)
    return told


def _closed(pair: Pair, most: float = MARGIN) -> bool:
    return pair.high <= most or (pair.low > 0 and pair.mean >= MARGIN)


def _pair(values: np.ndarray, level: float, factor: float) -> Pair:
    found = bounds.paired(values, level, factor)
    return Pair(arm="b", versus="a", n=found.n, mean=found.mean, low=found.low, high=found.high,
                level=level, factor=factor, wins=found.wins, losses=found.losses,
                differ=found.differ)  # fmt: skip


def race(
    scored: np.ndarray, new: np.ndarray, asked: np.ndarray, factor: float, same: bool
) -> Cost | None:
    """Return what both ways cost on one study and pool; None where the study left nothing open.

    `new` are the differences on the pool in the order drawn, `asked` whether the answers differ.
    `same`: the systems are frozen, so scored cases count for new answers too.
    """
    if _closed(_pair(scored, bounds.level(ALPHA, 1, 2), factor)):
        return None
    study, pool = _pair(scored, LEVEL, factor), len(new)
    planned = OpenPair("b", "a", MARGIN).planned_rows(study, pool + len(scored) * same)
    stream = PairStream(LEVEL, scored if same else scored[:0], planned, pool)
    at, settled = 0, _closed(_joined(study, stream, same))
    while not settled and at < pool:
        stream.see((new[at], new[at]))
        at, settled = at + 1, _closed(_joined(study, stream, same))
    clicks = round(1.1 * float(asked[:at].sum()))  # one pair in ten is shown twice
    most = MARGIN if settled else _joined(study, stream, same).high
    free, done = 0, _labelled(scored, new[:0], LEVEL, (factor, same, most))
    while not done and free < pool:
        free = min(free + STEP, pool)
        done = _labelled(scored, new[:free], LEVEL, (factor, same, most))
    asked, answered = _as_next_asks(scored, new, (factor, same, most))
    return Cost(clicks, free, asked, (settled, done, answered))


def _labelled(
    scored: np.ndarray, new: np.ndarray, level: float, kind: tuple[float, bool, float]
) -> bool:
    """Say whether labels of new inputs bring the bound to `most`, in the study or by themselves."""
    factor, same, most = kind
    whole = _closed(_pair(np.concatenate([scored, new]), level, factor), most)
    alone = not same and len(new) > 0
    return whole or (alone and _closed(_pair(new, level, 1.0), most))


def _as_next_asks(
    scored: np.ndarray, new: np.ndarray, kind: tuple[float, bool, float]
) -> tuple[int, bool]:
    """Label as the next step says, twice the rows at most, look, and again; a look costs level.

    Its size has a power of .8: labelled at once, it would make plain labels look dear.
    """
    done, look, rows = False, 2, 0
    while not done and rows < len(new):
        level = bounds.level(ALPHA, look, 2)
        pair = _pair(np.concatenate([scored, new[:rows]]), level, kind[0])
        size = superiority_assurance(pair, MARGIN, level).size()
        more = STUDY if size is None else min(pair.n, size.more(pair.n))
        rows = min(len(new), rows + max(STEP, more))
        done = _labelled(scored, new[:rows], level, kind)
        look += 1
    return rows, done


def _joined(study: Pair, stream: PairStream, same: bool) -> Pair:
    seen = stream.bounds
    n = seen.n if same else study.n + seen.n
    mean = seen.mean if same else (study.mean * study.n + seen.mean * seen.n) / n
    low, high = max(study.low, seen.low), min(study.high, seen.high)
    return study.model_copy(update={"mean": mean, "low": low, "high": high})


def _simulated(d: float, gap: float, factor: float, runs: int) -> list[Cost]:
    """Return costs of 0/1 scores; answers that are both wrong differ half as often as scores."""
    rng, pool = np.random.default_rng([7, int(100 * d), int(10 * factor)]), 2500
    p = [(d + gap) / 2, (d - gap) / 2, d / 2, 1 - 1.5 * d]
    out = []
    for _ in range(runs):
        kinds = rng.choice(4, STUDY + pool, p=p)
        values, asked = np.array([1.0, -1.0, 0.0, 0.0])[kinds], kinds < 3
        parts = values[:STUDY], values[STUDY:], asked[STUDY:]
        if (cost := race(*parts, factor, factor == 1.0)) is not None:
            out.append(cost)
    return out


def _real(folder: Path, kind: str, made: Callable[..., Any], runs: int) -> dict[str, Any]:
    rows = [json.loads(line) for part in ("train", "test")
            for line in (folder / f"{part}.jsonl").open(encoding="utf-8")]  # fmt: skip
    shared, told = np.random.default_rng(11).permutation(len(rows)), {}
    learn, rest = shared[: len(rows) * 3 // 10], shared[len(rows) * 3 // 10 :]
    systems = made([rows[i] for i in learn], [rows[i] for i in rest])
    ballot, cases = _ballot(kind, rows), [_case(rows[i], str(i)) for i in rest]
    for one, other in made.PAIRS:  # type: ignore[attr-defined]
        values, asked = _differences(ballot, cases, systems[one], systems[other])
        costs = list(_raced(values, asked, runs))
        name = f"{one} against {other}"
        told[name] = {
            **summary(costs),
            "scores": [round(_mean(ballot, cases, systems[each]), 3) for each in (one, other)],
            "answers_differ": round(float(asked.mean()), 3),
            "scores_differ": round(float((values != 0).mean()), 3),
        }
        print(kind, name, told[name], flush=True)
    return told


def _raced(values: np.ndarray, asked: np.ndarray, runs: int) -> Iterator[Cost]:
    for run in range(runs):
        order = np.random.default_rng([13, run]).permutation(len(values))
        scored, new = order[:STUDY], order[STUDY:]
        if (cost := race(values[scored], values[new], asked[new], 1.0, True)) is not None:
            yield cost


def _differences(
    ballot: PairwiseVotes, cases: Sequence[Case], one: Sequence[str], other: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return other - one by case, and whether it had to be asked."""
    values, asked = np.zeros(len(cases)), np.zeros(len(cases), bool)
    for at, (case, a, b) in enumerate(zip(cases, one, other, strict=True)):
        first, second = (Answer(case=case.id, text=text, finish="stop") for text in (b, a))
        query = case.query()
        if (known := ballot.difference(query, first, second, ())) is None:
            click = _clicked(ballot, case, b, a)
            known = ballot.difference(query, first, second, (click,))
            asked[at] = True
        assert known is not None
        values[at] = known[0]
    return values, asked


def _clicked(ballot: PairwiseVotes, case: Case, left: str, right: str) -> PairwiseVote:
    gold = ballot.normal_text(case.output)
    for side, text in (("left", left), ("right", right)):
        if ballot.normal_text(text) == gold:
            return PairwiseVote(input=case.id, left=left, right=right, choice=side)  # type: ignore[arg-type]
    return PairwiseVote(input=case.id, left=left, right=right, choice="wrong")


def _mean(ballot: PairwiseVotes, cases: Sequence[Case], answers: Sequence[str]) -> float:
    scores = [ballot.metric(case, Answer(case=case.id, text=text, finish="stop"))
              for case, text in zip(cases, answers, strict=True)]  # fmt: skip
    return float(np.mean([score.value if isinstance(score, Score) else 0.0 for score in scores]))


def _case(row: dict[str, Any], name: str) -> Case:
    text = row["output"] if isinstance(row["output"], str) else json.dumps(row["output"])
    return Case(id=name, messages=(Message(role="user", content=row["input"]),), output=text)


def _ballot(kind: str, rows: Sequence[dict[str, Any]]) -> PairwiseVotes:
    closed = kind == "banking77"
    names = tuple(sorted({row["output"] for row in rows})) if closed else None
    task = Task(
        name=kind, instruction="", data=Data(file="rows.jsonl"),
        output=Output(type="label" if closed else "json", labels=names),
        success=Success(metric="accuracy" if closed else "exact"),
    ).at(Path())  # fmt: skip
    return PairwiseVotes(task, scorer(task), kind)


if __name__ == "__main__":
    main()
