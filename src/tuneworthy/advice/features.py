"""Measure cheap facts of a task as numbers, from which the prior predicts the winning tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log2
from statistics import fmean

from tuneworthy.core.results import Results
from tuneworthy.core.task import OutputType

COUNTS = frozenset({"rows", "answer_words"})  # facts that are never negative
TYPES: tuple[OutputType, ...] = ("label", "json", "text", "number")


def row_features(outputs: Sequence[str], rows: int, type_: OutputType | None) -> dict[str, float]:
    """Return, by name, facts of the right answers that need no model; {} without answers.

    `rows`, the number of rows to learn from; `label_entropy` of the answers, as a share of the most
    that so many answers can have (0: all alike, 1: all different); `answer_words`, their mean
    number of words; `type_…`, 1 for the type of the answers and 0 for the others.
    """
    if not outputs:
        return {}
    counts = Counter(output.strip() for output in outputs).values()
    bits = -sum(n / len(outputs) * log2(n / len(outputs)) for n in counts)
    forms = {f"type_{name}": float(name == type_) for name in TYPES} if type_ else {}
    return {
        "rows": float(rows),
        "label_entropy": bits / log2(len(outputs)) if len(outputs) > 1 else 0.0,
        "answer_words": fmean(len(output.split()) for output in outputs),
        **forms,
    }


def features_of(results: Results) -> dict[str, float]:
    """Return, by name, the facts of a finished study, for `MeasuredTask.features`.

    They are those of `row_features`, and if the arms were measured: `base`, the score of the plain
    instruction; `few_shot_gain`, the best score with fixed examples minus `base`; `tfidf`, the
    score of the classifier on word counts.
    """
    arm_of = {run.spec.name: run.spec.arm for run in results.runs}
    best: dict[str, float] = {}
    for arm in results.evidence.arms:
        if arm.score is not None and arm.name in arm_of and arm.role == "candidate":
            name = arm_of[arm.name]
            best[name] = max(arm.score.mean, best.get(name, 0.0))
    outputs = [case.output for case in results.cases]
    found = row_features(outputs, results.evidence.train or len(outputs), results.task.output.type)
    if "zero_shot" in best:
        found["base"] = best["zero_shot"]
        if "few_shot" in best:
            found["few_shot_gain"] = best["few_shot"] - best["zero_shot"]
    if "tfidf" in best:
        found["tfidf"] = best["tfidf"]
    return found
