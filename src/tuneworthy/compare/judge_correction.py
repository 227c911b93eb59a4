"""Correct judge scores and differences with human grades.

Uses prediction-powered inference (see stats/prediction_powered.py): a biased judge widens an
interval but cannot bias it. Below 50 human grades the bounds cover the whole range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case
from tuneworthy.stats.bounds import Bound
from tuneworthy.stats.clusters import (
    Folds,
    cluster_numbers,
    cluster_width_factor,
    fold_width_factor,
)
from tuneworthy.stats.prediction_powered import prediction_powered_mean

Array = np.ndarray[Any, Any]
LEAST_GRADES = 50  # the fewest human grades that give a bound
Grades = Mapping[tuple[str, str], float]


def add_known_grades(grades: Grades, cases: Sequence[Case]) -> dict[tuple[str, str], float]:
    """Return the grades, and 1 for each right or accepted answer that has no human grade."""
    right = {
        (case.id, text.strip()): 1.0 for case in cases for text in (case.output, *case.accepted)
    }
    return {**right, **grades}


def graded_score(
    scores: Array, answers: Sequence[Answer], grades: Grades, groups: Array
) -> tuple[float, float, float]:
    """Return (mean, low, high) at 95 % of an arm's score; 0 to 1 below 50 human grades."""
    human = np.array([_human_grade(answer, grades) for answer in answers])
    graded = np.isfinite(human)
    if graded.sum() < LEAST_GRADES:
        return float(scores.mean()), 0.0, 1.0
    width_factor = cluster_width_factor(scores, cluster_numbers(groups, scores.size), 0.025)
    corrected = prediction_powered_mean(
        scores[~graded], scores[graded], human[graded], 0.025, wide=width_factor, lowest=0.0
    )
    return min(1.0, max(0.0, corrected.mean)), corrected.low, corrected.high


def pair_width_factor(
    diffs: Array, level: float, factor: float, groups: Array, folds: Folds | None
) -> float:
    """Return by what factor groups and folds widen the bound of a paired difference."""
    wide = cluster_width_factor(diffs, cluster_numbers(groups, diffs.size), level)
    if folds is not None:
        factor = fold_width_factor(diffs, folds, factor, wide)
    return factor * wide


def graded_pair(
    bound: Bound,
    diffs: Array,
    answers: Sequence[tuple[Answer, Answer]],
    grades: Grades,
    level: float,
    wide: float,
) -> Bound:
    """Return the judge's bound corrected by the cases that humans graded for both arms.

    `wide` is the factor that `pair_width_factor` returns. The bound is -1 to 1 below 50 such cases.
    """
    human = np.array(
        [_human_grade(one, grades) - _human_grade(other, grades) for one, other in answers]
    )
    graded = np.isfinite(human)
    if graded.sum() < LEAST_GRADES:
        return bound._replace(low=-1.0, high=1.0)
    corrected = prediction_powered_mean(
        diffs[~graded], diffs[graded], human[graded], level, wide=wide
    )
    mean = min(1.0, max(-1.0, corrected.mean))
    return bound._replace(mean=mean, low=corrected.low, high=corrected.high)


def _human_grade(answer: Answer, grades: Grades) -> float:
    if answer.error is None and not answer.text.strip():
        return 0.0
    return grades.get((answer.case, answer.text.strip()), float("nan"))
