"""A mean from many judge grades and few human ones; a biased judge only widens the bounds.

Source: Angelopoulos et al. 2023, prediction-powered inference (arXiv 2301.09633), as the difference
estimator of survey sampling: the judge's mean over all rows, corrected by the mean difference of
humans and judge on the rows that both graded. Rows whose value is certain need no judge; they form
a stratum of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats.distributions import student_quantile

Array = np.ndarray[Any, Any]
_FEW_CORRECTIONS = 10  # with fewer corrections unlike the mode, one more is assumed at each end


class PredictionPoweredMean(NamedTuple):
    """A corrected mean with one-sided bounds, each at the requested level."""

    mean: float
    low: float
    high: float


def corrected_values(judge: Array, human: Array, certain: Array) -> Array:
    """Return one value per row: their mean is the corrected mean, their scatter its error.

    `judge`: the judge's value of each row, or the value itself where `certain`. `human`: the
    human's, NaN where none was given; the graded rows must be a random part of the rows that are
    not certain. A row that needs the judge gets its mean correction; a graded one also gets its own
    correction's distance from that mean, in the weight of the rows that it stands for. Raises
    ValueError below two graded rows.
    """
    graded = ~certain & np.isfinite(human)
    if graded.sum() < 2:
        raise ValueError(f"{graded.sum()} graded rows: two at least")
    shift = human[graded] - judge[graded]
    values = np.where(certain, judge, judge + shift.mean())
    values[graded] += (~certain).sum() / graded.sum() * (shift - shift.mean())
    return values


def prediction_powered_mean(
    rows: tuple[Array, Array, Array],
    level: float,
    *,
    lowest: float = -1.0,
    width: Callable[[Array], float] = lambda values: 1.0,
) -> PredictionPoweredMean:
    """Return the corrected mean with bounds by Student's t, one degree less than graded rows.

    `rows`: judge, human and certain, as in `corrected_values`, all in [`lowest`, 1]. `width`
    returns the factor by which groups or folds widen a bound of the mean of such values; infinite:
    nothing is known. If fewer than ten corrections differ from the mode, one more graded row is
    assumed at the end of each side: a sample can't show the rare error that it lacks.
    """
    judge, human, certain = rows
    values = corrected_values(judge, human, certain)
    graded = ~certain & np.isfinite(human)
    shift, weight = human[graded] - judge[graded], float((~certain).mean())
    mean, wide = float(values.mean()), width(values)
    if np.isinf(wide):
        return PredictionPoweredMean(mean, lowest, 1.0)
    own = weight**2 * float(shift.var(ddof=1)) / shift.size
    variance = float(values.var()) / (values.size - 1) * shift.size / (shift.size - 1)
    quantile, ends = student_quantile(1 - level, shift.size - 1), []
    for side in (-1.0, 1.0):
        moved, assumed = 0.0, own
        if _count_unlike_mode(shift) < _FEW_CORRECTIONS:
            more = np.append(shift, side)
            moved = weight * float(more.mean() - shift.mean())
            assumed = max(own, weight**2 * float(more.var(ddof=1)) / more.size)
        ends.append(moved + side * float(quantile * np.sqrt(variance + assumed - own)))
    low, high = (mean + wide * end for end in ends)
    return PredictionPoweredMean(mean, max(lowest, min(low, mean)), min(1.0, max(high, mean)))


def _count_unlike_mode(values: Array) -> int:
    """Return how many values differ from the most frequent value."""
    return int(values.size - np.unique(values, return_counts=True)[1].max())
