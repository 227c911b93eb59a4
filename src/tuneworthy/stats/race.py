"""Find the arms of a race that cannot win any more, by bounds that hold at every look.

A fixed-n bound holds at one look only. If answers cost money and an arm stops as soon as it cannot
win, every bound of the study is a betting bound instead (see `betting`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tuneworthy.stats.betting import betting_cs
from tuneworthy.stats.bounds import Bound
from tuneworthy.stats.clusters import (
    Folds,
    cluster_numbers,
    cluster_width_factor,
    fold_width_factor,
)


def sequential_bound(
    diffs: Any,
    level: float,
    n_plan: int,
    factor: float = 1.0,
    folds: Folds | None = None,
    groups: Any = None,
) -> Bound:
    """Return the mean of paired differences in [-1, 1] with bounds that hold at every look.

    `diffs` are in the order in which the cases were run, which must not depend on the scores;
    `n_plan` is how many cases were planned. The bounds are one-sided, each at `level`, and only
    ever tighten. `factor` and `folds` widen them as in `bounds.paired`, and so do `groups`: few
    near-copies among rows that are independent otherwise. Raises ValueError for no rows or values
    outside [-1, 1]. Source: arXiv 2010.09686.
    """
    values = np.round(np.asarray(diffs, float).ravel(), 9)
    if not values.size or not (np.abs(values) <= 1).all():
        raise ValueError("differences must be there, and lie in [-1, 1]")
    mean = float(values.mean())
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    low, high = betting_cs(values, 2 * level, max(n_plan, values.size))[-1]
    wide = (
        1.0
        if groups is None
        else cluster_width_factor(values, cluster_numbers(groups, values.size), level)
    )
    if folds is not None:
        factor = fold_width_factor(values, folds, factor, wide)
    if np.isinf(wide):
        return Bound(mean, -1.0, 1.0, wins, losses, wins + losses, values.size)
    factor *= wide
    low, high = (mean + factor * (end - mean) for end in (low, high))
    ends = max(-1.0, min(low, mean)), min(1.0, max(high, mean))
    return Bound(mean, *ends, wins, losses, wins + losses, values.size)
