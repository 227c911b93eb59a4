"""The ratio of two means on the same rows, with a bootstrap interval over rows or groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuneworthy.stats.clusters import cluster_numbers
from tuneworthy.stats.graded import BOOTSTRAPS, bootstrap_means


def ratio_of_means(
    top: Any, bottom: Any, level: float = 0.05, factor: float = 1.0, groups: Any = None
) -> tuple[float, float, float] | None:
    """Return mean(top) / mean(bottom) with its two-sided percentile interval at `level`.

    Both hold one value per row, in the same order. `factor` widens the deviation of both means (see
    stats.bounds.width_factor); rows of one group are drawn together. The draws have a fixed seed.
    None if the interval is unbounded: if a tail of the draws has a mean of `bottom` on the other
    side of 0. Raises ValueError for no rows, unequal lengths or a mean of `bottom` of 0.
    """
    over, under = np.asarray(top, float).ravel(), np.asarray(bottom, float).ravel()
    if not over.size or over.size != under.size:
        raise ValueError(f"{over.size} and {under.size} values: a share needs the same rows")
    centre = float(over.mean()), float(under.mean())
    if centre[1] == 0:
        raise ValueError("the mean of what is divided by is 0")
    numbers = np.arange(over.size) if groups is None else cluster_numbers(groups, over.size)
    sizes = np.bincount(numbers).astype(float)
    drawn = [
        mean
        + factor * (bootstrap_means(np.bincount(numbers, weights=row), sizes, BOOTSTRAPS) - mean)
        for mean, row in zip(centre, (over, under), strict=True)
    ]
    there = drawn[1] * np.sign(centre[1]) > 1e-12
    ratios = np.divide(drawn[0], drawn[1], out=np.full(BOOTSTRAPS, np.inf), where=there)
    if (lost := float(np.isinf(ratios).mean())) >= level / 2:
        return None
    # a lost draw may belong to either tail, so each tail shrinks by the share of lost draws
    tail = max(level / 2 - lost, 0.0)
    low, high = np.quantile(ratios[np.isfinite(ratios)], (tail, 1 - tail))
    return centre[0] / centre[1], float(low), float(high)
