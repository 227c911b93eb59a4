"""E7: where facts change, what does retraining cost beside indexing again?"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from _claim import figure, main, of_seeds, over_seeds, score_over_seeds, unit
from _shared import fact_values, facts, greedy, taught
from _tuning import SEEDS, Ask, answers

from tuneworthy.arms.retrieval.index import index
from tuneworthy.lab.claim_results import Claim, Expected, Figure
from tuneworthy.metrics._numbers import numbers

CLAIM = Claim(
    number=7,
    name="changing_facts",
    claim="Knowledge that changes calls for retrieval, not for tuning.",
    said="the common split of work between tuning and retrieval",
    prediction="Retraining after a weekly change takes more than ten times as long as indexing "
    "again, and without it the tuned model keeps saying what was changed.",
    refuted_if="Retraining takes less time than indexing, or the stale model is right on changed "
    "facts as often as retrieval.",
    design="50 invented facts of which 3 change in a week; three weeks, each its own change and "
    "seed; LoRA retrained from the base on all facts; BM25 over all documents, median of 5.",
    expects=(
        Expected(figure="seconds of retraining over seconds of indexing", above=10.0, fails_at=1.0),
        Expected(figure="retrieval - stale model, changed facts", above=0.0),
    ),
    holds_if=(Expected(figure="retrieval - stale model, changed facts", above=0.0),),
)
COMPARES = {
    "retrieval - stale model, changed facts": "right: retrieval minus a tuned model left stale",
}
FOUND = "Retrieval is right more often than the old model; on so few questions it may be chance."
CAVEAT = "This small model reads poorly. Retraining takes minutes, indexing milliseconds."
REDUCED = ("36 questions on changed facts; not measured: a change every hour, larger collections",)


def collect() -> dict[str, Any]:
    """Return seconds by week, and the scores on the changed facts and on all."""
    return {"weeks": [_week(week) for week in SEEDS]}


def _week(week: int) -> dict[str, Any]:
    rows, old, new = facts(1, week), fact_values(), fact_values(week)
    changed = [at for at, case in enumerate(rows.test) if old[case.group] != new[case.group]]
    again = answers(rows, Ask("lora", 0, week, {"epochs": 20, "batch": 8}))
    read = greedy(answers(rows, Ask("rag", options={"k": 1, "dense": False})))
    texts = taught(1, week)["heats"]["0"]["texts"]
    stale = [float(_last(text) == case.output) for text, case in zip(texts, rows.test, strict=True)]

    def timed() -> dict[str, Any]:
        took = []
        for _ in range(5):
            begun = time.process_time()
            index(rows.docs).search([("annual leave", None)], 1)
            took.append(time.process_time() - begun)
        return {"seconds": float(np.median(took))}

    seconds = {"index": unit({"e": 7, "week": week}, timed)["seconds"],
               "train": again["fit_seconds"]}  # fmt: skip
    told = {"retrained": greedy(again), "retrieval": read, "stale": stale}
    return {"seconds": seconds, "groups": [rows.test[at].group for at in changed],
            **{key: [scores[at] for at in changed] for key, scores in told.items()},
            "all": {key: float(np.mean(scores)) for key, scores in told.items()}}  # fmt: skip


def _last(text: str) -> str:
    found = numbers(text)
    return found[-1].text if found else ""


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the seconds, their ratio, and the scores on changed facts."""
    weeks, out = data["weeks"], []
    for name, key in (("retraining", "train"), ("indexing", "index")):
        seconds = of_seeds([week["seconds"][key] for week in weeks])
        out.append(figure(f"seconds of {name}", seconds, len(weeks), len(weeks), "seconds"))
    logs = [np.log(week["seconds"]["train"] / week["seconds"]["index"]) for week in weeks]
    ratio = np.exp(of_seeds(logs))
    out.append(figure("seconds of retraining over seconds of indexing", tuple(ratio), len(weeks),
                      len(weeks), "times"))  # fmt: skip
    groups = [f"{at} {g}" for at, week in enumerate(weeks) for g in week["groups"]]
    flat = {key: np.array([v for week in weeks for v in week[key]], float)
            for key in ("retrained", "retrieval", "stale")}  # fmt: skip
    for key, values in flat.items():
        out.append(
            figure(f"right on changed facts, {key}", score_over_seeds(values, groups), len(values))
        )
    diff = over_seeds(flat["retrieval"] - flat["stale"], groups)
    out.append(figure("retrieval - stale model, changed facts", diff, len(groups)))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
