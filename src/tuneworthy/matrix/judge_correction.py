"""Correct judge scores and differences with human grades.

An answer that is right, empty or failed needs no judge: its score is certain. The scores of the
others are the judge's, corrected by prediction-powered inference (see stats/prediction_powered.py):
a biased judge widens an interval but cannot bias it. Below 30 human grades of answers that need a
judge the bounds cover the whole range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneworthy.records.answer import Answer
from tuneworthy.stats.prediction_powered import PredictionPoweredMean, prediction_powered_mean

Array = np.ndarray[Any, Any]
_LEAST_GRADED = 30  # the fewest human grades of answers that need a judge that give a bound
Grades = Mapping[tuple[str, str], float]
_RightAnswers = AbstractSet[tuple[str, str]]


@dataclass(frozen=True)
class GradedRows:
    """One value per row: the judge's, and the limits within which the human's lies.

    `low` and `high` are equal where the value is known: where it is `certain` without a judge, or
    graded by a human. `drawn`: humans graded answers of this case. They grade cases drawn at
    random, so a drawn case whose answer lacks a grade is not left out: that would keep a part of
    the draw that the answers decide (those that equal another arm's, say). `texts` are the answers:
    where two arms gave the same one, their difference is 0 for judge and human. `sloped`: the judge
    counts by the slope of the humans on it (see `prediction_powered_mean`).
    """

    judge: Array
    low: Array
    high: Array
    certain: Array
    drawn: Array
    texts: Array
    sloped: bool = False

    @classmethod
    def of(
        cls, scores: Array, answers: Sequence[Answer], grades: Grades, right: _RightAnswers,
        sloped: bool = False,
    ) -> GradedRows:  # fmt: skip
        """Return the rows of one arm; `scores` are the judge's, 0 for an unscored answer."""
        sure = np.array([_certain_score(answer, right) for answer in answers])
        certain = np.isfinite(sure)
        human = np.array([grades.get((a.case, a.text.strip()), np.nan) for a in answers])
        known = np.where(certain, sure, human)
        cases = {case for case, text in grades if text and (case, text) not in right}
        return cls(
            judge=np.where(certain, sure, scores),
            low=np.where(np.isfinite(known), known, 0.0),
            high=np.where(np.isfinite(known), known, 1.0),
            certain=certain,
            drawn=np.array([answer.case in cases for answer in answers]),
            texts=np.array([answer.text.strip() for answer in answers], dtype=object),
            sloped=sloped,
        )

    def minus(self, other: GradedRows) -> GradedRows:
        """Return the rows of the differences from another arm on the same cases.

        Where one of both answers is certain, the human's grade of the other gives the difference.
        """
        same = self.texts == other.texts
        return GradedRows(
            judge=np.where(same, 0.0, self.judge - other.judge),
            low=np.where(same, 0.0, self.low - other.high),
            high=np.where(same, 0.0, self.high - other.low),
            certain=(self.certain & other.certain) | same,
            drawn=self.drawn & other.drawn,
            texts=self.texts,
            sloped=self.sloped,
        )

    @property
    def known(self) -> Array | None:
        """Return the array of true values if every row is certain or human-graded; else None."""
        return self.low if (self.low == self.high).all() else None

    @property
    def lacking(self) -> int:
        """Return how many drawn rows need a judge and lack a human grade."""
        return int((self.drawn & (self.low < self.high)).sum())

    def bound(
        self, level: float, lowest: float, width: Callable[[Array], float]
    ) -> PredictionPoweredMean:
        """Return the corrected mean with one-sided bounds at `level`; `lowest` to 1 if too few.

        `width` returns the factor by which groups and folds widen a bound of such values. A drawn
        row without a grade counts at its low end below and at its high end above.
        """
        graded = self.drawn & ~self.certain
        if graded.sum() - self.lacking < _LEAST_GRADED:
            return PredictionPoweredMean(float(self.judge.mean()), lowest, 1.0)
        below, above = (
            prediction_powered_mean(
                (self.judge, np.where(graded, human, np.nan), self.certain),
                level,
                lowest=lowest,
                sloped=self.sloped,
                width=width,
            )
            for human in (self.low, self.high)
        )
        mean = min(1.0, max(lowest, (below.mean + above.mean) / 2))
        return PredictionPoweredMean(mean, below.low, above.high)


def _certain_score(answer: Answer, right: _RightAnswers) -> float:
    """Return 0 for a failed or an empty answer, 1 for a right one, NaN if it needs a judge."""
    text = answer.text.strip()
    if answer.error is not None or not text:
        return 0.0
    return 1.0 if (answer.case, text) in right else float("nan")
