"""A mean from many judge grades and few human ones; a biased judge only widens the bounds.

Source: Angelopoulos et al. 2023, prediction-powered inference (arXiv 2301.09633), as the regression
estimator of survey sampling: `slope` times the judge's mean over all rows, corrected by the mean of
human less `slope` times judge on the rows that both graded. The slope that leaves the least error
(Angelopoulos et al. 2023, PPI++, arXiv 2311.01453) is that of the humans on the judge, so that a
judge who knows nothing costs nothing. Rows whose value is certain need no judge: they form a
stratum of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats.distributions import student_quantile

Array = np.ndarray[Any, Any]
_LEAST_FOR_SLOPE = 20  # graded rows from which a slope is estimated; below it is 1
_FEW_CORRECTIONS = 10  # with fewer corrections unlike the mode, one more is assumed at each end


class PredictionPoweredMean(NamedTuple):
    """A corrected mean with one-sided bounds, each at the requested level."""

    mean: float
    low: float
    high: float


def slope_on_judge(judge: Array, human: Array) -> float:
    """Return the least-squares slope of human on judge values, within 0 and 1; 1 for few rows."""
    spread = float(judge.var()) if judge.size >= _LEAST_FOR_SLOPE else 0.0
    if not spread:
        return 1.0
    together = float(((human - human.mean()) * (judge - judge.mean())).mean())
    return min(1.0, max(0.0, together / spread))


def corrected_values(judge: Array, human: Array, certain: Array, slope: float = 1.0) -> Array:
    """Return one value per row: their mean is the corrected mean, their scatter its error.

    `judge`: the judge's value of each row, or the value itself where `certain`. `human`: the
    human's, NaN where none was given; the graded rows must be a random part of the rows that are
    not certain. A row that needs the judge counts `slope` times its value and the mean correction;
    a graded one also gets its own correction's distance from that mean, in the weight of the rows
    that it stands for. Raises ValueError below two graded rows.
    """
    graded = ~certain & np.isfinite(human)
    if graded.sum() < 2:
        raise ValueError(f"{graded.sum()} graded rows: two at least")
    shift = human[graded] - slope * judge[graded]
    values = np.where(certain, judge, slope * judge + shift.mean())
    values[graded] += (~certain).sum() / graded.sum() * (shift - shift.mean())
    return values


def prediction_powered_mean(
    rows: tuple[Array, Array, Array],
    level: float,
    *,
    lowest: float = -1.0,
    sloped: bool = False,
    width: Callable[[Array], float] = lambda values: 1.0,
) -> PredictionPoweredMean:
    """Return the corrected mean with bounds by Student's t, a degree less than graded rows or two.

    `rows`: judge, human and certain, as in `corrected_values`, all in [`lowest`, 1]. `width`
    returns the factor by which groups or folds widen a bound of the mean of such values; infinite:
    nothing is known. `sloped`: the judge counts by the slope of the humans on
    it, not in full. If fewer than ten corrections differ from the mode, one more graded row is
    assumed at the end of each side: a sample can't show the rare error that it lacks.
    """
    judge, human, certain = rows
    graded = ~certain & np.isfinite(human)
    slope = slope_on_judge(judge[graded], human[graded]) if sloped else 1.0
    values = corrected_values(judge, human, certain, slope)
    shift, weight = human[graded] - slope * judge[graded], float((~certain).mean())
    few = _count_unlike_mode(human[graded] - judge[graded]) < _FEW_CORRECTIONS
    mean, wide = float(values.mean()), width(values)
    if np.isinf(wide):
        return PredictionPoweredMean(mean, lowest, 1.0)
    own = weight**2 * float(shift.var(ddof=1)) / shift.size
    variance = float(values.var()) / (values.size - 1) * shift.size / (shift.size - 1)
    quantile, ends = student_quantile(1 - level, shift.size - 1 - (slope < 1)), []
    for side in (-1.0, 1.0):
        moved, assumed = 0.0, own
        if few:
            more = np.append(shift, side)
            moved = weight * float(more.mean() - shift.mean())
            assumed = max(own, weight**2 * float(more.var(ddof=1)) / more.size)
        ends.append(moved + side * float(quantile * np.sqrt(variance + assumed - own)))
    low, high = (mean + wide * end for end in ends)
    return PredictionPoweredMean(mean, max(lowest, min(low, mean)), min(1.0, max(high, mean)))


def _count_unlike_mode(values: Array) -> int:
    """Return how many values differ from the most frequent value."""
    return int(values.size - np.unique(values, return_counts=True)[1].max())
