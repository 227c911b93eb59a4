"""Find the arms of a race that cannot win any more, by bounds that hold at every look.

A fixed-n bound holds at one look only. If answers cost money and an arm stops as soon as it cannot
win, every bound of the study is a betting bound instead (see `betting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def eliminated(
    order: Sequence[str], highs: Mapping[tuple[str, str], float], margin: float
) -> dict[str, str]:
    """Return {arm that cannot win any more: the arm that excludes it}.

    `order`: simplest first; `highs[b, s]` is an upper bound of b - s that holds at every look. An
    arm is out if it is shown to be at most `margin` better than a simpler arm that is in: no climb
    to it would pay. A simpler arm is out if it is shown to be worse by `margin`: it is beaten. So
    each arm that is out is at most `margin` better than some arm that is in. A pair without a bound
    excludes nobody.
    """
    out: dict[str, str] = {}
    kept: list[str] = []
    for arm in order:
        blockers = [other for other in kept if highs.get((arm, other), 1.0) <= margin]
        if blockers:
            out[arm] = blockers[0]
            continue
        beaten = [other for other in kept if highs.get((other, arm), 1.0) <= -margin]
        out |= dict.fromkeys(beaten, arm)
        kept = [other for other in kept if other not in beaten] + [arm]
    return out


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
