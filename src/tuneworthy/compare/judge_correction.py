"""Scores and differences under a judge, corrected by human grades: the judge alone shows nothing.

Prediction-powered (see stats/prediction_powered.py): a biased judge widens an interval and can't
move it. Below 50 human grades nothing is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case
from tuneworthy.core.record import digest
from tuneworthy.core.run import Run
from tuneworthy.stats.bounds import Bound
from tuneworthy.stats.clusters import Folds, cluster_numbers, fold_widening, widening
from tuneworthy.stats.prediction_powered import powered

Array = np.ndarray[Any, Any]
GRADED = 50
Grades = Mapping[tuple[str, str], float]


def completed(grades: Grades, cases: Sequence[Case]) -> dict[tuple[str, str], float]:
    """Return the grades with 1 for every right answer: no human has to grade what is right."""
    right = {
        (case.id, text.strip()): 1.0 for case in cases for text in (case.output, *case.accepted)
    }
    return {**right, **grades}


def graded_score(
    scores: Array, answers: Sequence[Answer], grades: Grades, groups: Array
) -> tuple[float, float, float]:
    """Return mean, low and high (95 %) of an arm: 0 to 1 where fewer than 50 were graded."""
    human = np.array([_grade(answer, grades) for answer in answers])
    known = np.isfinite(human)
    if known.sum() < GRADED:
        return float(scores.mean()), 0.0, 1.0
    wide = widening(scores, cluster_numbers(groups, scores.size), 0.025)
    found = powered(scores[~known], scores[known], human[known], 0.025, wide=wide, lowest=0.0)
    return min(1.0, max(0.0, found.mean)), found.low, found.high


def width(diffs: Array, level: float, factor: float, groups: Array, folds: Folds | None) -> float:
    """Return how much wider groups and folds make a paired difference than independent rows."""
    wide = widening(diffs, cluster_numbers(groups, diffs.size), level)
    if folds is not None:
        factor = fold_widening(diffs, folds, factor, wide)
    return factor * wide


def graded_pair(
    bound: Bound,
    diffs: Array,
    answers: Sequence[tuple[Answer, Answer]],
    grades: Grades,
    level: float,
    wide: float,
) -> Bound:
    """Return the judge's own bound corrected by the cases that humans graded for both arms.

    `wide` is what `width` gives. -1 to 1 below 50 such cases.
    """
    human = np.array([_grade(one, grades) - _grade(other, grades) for one, other in answers])
    known = np.isfinite(human)
    if known.sum() < GRADED:
        return bound._replace(low=-1.0, high=1.0)
    found = powered(diffs[~known], diffs[known], human[known], level, wide=wide)
    mean = min(1.0, max(-1.0, found.mean))
    return bound._replace(mean=mean, low=found.low, high=found.high)


def sheet(
    cases: Sequence[Case], runs: Sequence[Run], grades: Grades, n: int = 60, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the answers that humans are to grade next, names hidden and order shuffled.

    `n` cases drawn by the seed, the same for every arm and reference, so that each pair of arms
    stands on them. Answers that are graded, empty or the right one are left out; one text that
    several arms gave stands once. A row is {"id", "input", "right", "answer", "grade": None}.
    """
    drawn = sorted(cases, key=lambda case: digest([seed, "sheet", case.id]))[:n]
    known, gold = completed(grades, cases), {case.id: case for case in drawn}
    open_ = {
        (answer.case, answer.text.strip())
        for run in runs
        if run.state == "measured" and run.spec.role in ("candidate", "reference")
        for answer in run.answers
        if answer.case in gold and not np.isfinite(_grade(answer, known))
    }
    ordered = sorted(open_, key=lambda pair: digest([seed, "order", *pair]))
    return [
        {"id": i, "input": gold[i].input, "right": gold[i].output, "answer": text, "grade": None}
        for i, text in ordered
    ]


def _grade(answer: Answer, grades: Grades) -> float:
    if answer.error is None and not answer.text.strip():
        return 0.0
    return grades.get((answer.case, answer.text.strip()), float("nan"))
