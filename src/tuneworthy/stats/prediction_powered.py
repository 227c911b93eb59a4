"""A mean from many judge grades and few human ones; a biased judge only widens the bounds.

Source: Angelopoulos et al. 2023, prediction-powered inference (arXiv 2301.09633): the judge's mean
on the rows that no human graded, corrected by the difference of humans and judge on the rows that
both graded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats.distributions import student_quantile

Array = np.ndarray[Any, Any]
FEW_CORRECTIONS = 10  # with fewer corrections unlike the mode, one more is assumed at each end


class PredictionPoweredMean(NamedTuple):
    """A corrected mean with one-sided bounds, each at the requested level."""

    mean: float
    low: float
    high: float


def prediction_powered_mean(
    judge: Any, graded: Any, human: Any, level: float, *, wide: float = 1.0, lowest: float = -1.0
) -> PredictionPoweredMean:
    """Return mean_N(judge) + mean_m(human - graded) with bounds by Student's t, m - 1 degrees.

    `judge`: the judge's values on the N rows that no human graded; `graded` (judge) and `human` on
    the m rows (a random part) that humans graded. SE^2 = var_N / N + var_m / m; without other rows
    the humans alone count. All values lie in [`lowest`, 1]; `wide` multiplies the width. If fewer
    than ten corrections differ from the mode, one more row is assumed at the end of each side: a
    sample can't show the rare error that it lacks. Raises ValueError below two graded rows.
    """
    many, own, right = (np.asarray(v, float).ravel() for v in (judge, graded, human))
    if right.size < 2 or own.size != right.size:
        raise ValueError(f"{right.size} human grades beside {own.size} of the judge: two at least")
    shift = right - own if many.size else right
    base = float(many.mean()) if many.size else 0.0
    spread = float(many.var(ddof=1)) / many.size if many.size > 1 else 0.0
    mean = base + float(shift.mean())
    quantile = student_quantile(1 - level, right.size - 1)
    ends = []
    for side, end in ((-1.0, -1.0 if many.size else lowest), (1.0, 1.0)):
        rows = np.append(shift, end) if _count_off_mode(shift) < FEW_CORRECTIONS else shift
        se = np.sqrt(spread + rows.var(ddof=1) / rows.size)
        ends.append(base + float(rows.mean()) + side * quantile * se)
    if np.isinf(wide):
        return PredictionPoweredMean(mean, lowest, 1.0)
    low, high = (mean + wide * (end - mean) for end in ends)
    return PredictionPoweredMean(mean, max(lowest, min(low, mean)), min(1.0, max(high, mean)))


def _count_off_mode(values: Array) -> int:
    """Return how many values differ from the mode."""
    return int(values.size - np.unique(values, return_counts=True)[1].max())
