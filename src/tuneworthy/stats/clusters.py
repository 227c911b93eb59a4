"""Rows that belong together (groups, folds) are not independent: how much wider is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm, t

Array = np.ndarray[Any, Any]

ENOUGH = 30
"""From this many clusters the normal quantile does; below, Student's t with clusters - 1."""


def cluster_numbers(groups: Any, n: int) -> Array:
    """Return a number from 0 a row; rows of one group share it, None stands for itself.

    Raises ValueError where there are not as many groups as rows.
    """
    labels = list(groups)
    if len(labels) != n:
        raise ValueError(f"{len(labels)} groups for {n} rows")
    seen: dict[Any, int] = {}
    keys = [(label, -1) if label is not None else (None, i) for i, label in enumerate(labels)]
    return np.array([seen.setdefault(key, len(seen)) for key in keys])


def widening(values: Array, numbers: Array, level: float) -> float:
    """Return SE_clustered / SE_naive of the mean, at least 1; infinite for one cluster only.

    Below 30 clusters it is also multiplied by t / z at the one-sided `level`. Clusters of one
    row each leave the width alone. Source: Cameron and Miller (2015), CR1.
    """
    count = int(numbers.max()) + 1
    if count == values.size:
        return 1.0
    few = few_clusters(count, level)
    if np.isinf(few):
        return few
    off = values - values.mean()
    naive = float(off @ off) / (values.size - 1)
    sums = np.bincount(numbers, weights=off)
    clustered = float(sums @ sums) / values.size * count / (count - 1)
    return few * max(1.0, float(np.sqrt(clustered / naive)) if naive > 0 else 1.0)


def few_clusters(count: int, level: float) -> float:
    """Return t / z at the one-sided `level`: 1 from 30 clusters, infinite for a single one."""
    if count >= ENOUGH:
        return 1.0
    return float(t.ppf(1 - level, count - 1) / norm.ppf(1 - level)) if count > 1 else float("inf")


def fold_widening(values: Array, folds: Array, factor: float, wide: float = 1.0) -> float:
    """Return the width factor of a cross-fitted pair whose folds may disagree beyond chance.

    The artefact that will be built is one more fit, so what the K fits scatter beyond row noise
    counts (1 + 1/K) times: sqrt(factor^2 + excess * (1 + 1/K) / SE^2), excess = variance of the
    fold means - K SE^2 where positive. `wide` is what groups already widen the SE. Equal folds
    leave `factor`; so do values without any spread, and a single fold.
    """
    sizes = np.bincount(folds)
    count = sizes.size
    spread = float(values.var()) * wide**2
    if count < 2 or spread == 0 or np.isinf(wide):
        return factor
    means = np.bincount(folds, weights=values) / sizes
    expected = spread * float((1 / sizes).mean())
    excess = max(0.0, float(means.var(ddof=1)) - expected)
    return float(np.sqrt(factor**2 + excess * (1 + 1 / count) * values.size / spread))
