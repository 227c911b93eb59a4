"""A confidence sequence for a mean in [-1, 1]: valid at every look, at any number of rows."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def alive(streams: Array, candidates: Array, alpha: float, n_plan: int) -> Array:
    """Return which candidate means each stream has not ruled out after its last value.

    `streams` is (R, T) with values in [-1, 1]; `candidates` (M,) in [-1, 1]. The result is
    (R, T, M); True stays until the wealth of a bet against the candidate reaches 1 / alpha.
    Source: hedged betting of Waudby-Smith and Ramdas, arXiv 2010.09686; bets are sized for
    `n_plan` values and use the past only.
    """
    m = (np.asarray(candidates, float) + 1) / 2
    values = (np.asarray(streams, float) + 1) / 2
    runs, length = values.shape
    up, down = np.zeros((runs, m.size)), np.zeros((runs, m.size))
    living = np.ones((runs, m.size), bool)
    total, squares, variance = (np.full((runs, 1), start) for start in (0.5, 0.25, 0.25))
    cap_up, cap_down = 0.5 / np.maximum(m, 1e-9), 0.5 / np.maximum(1 - m, 1e-9)
    out = np.empty((runs, length, m.size), bool)
    for at in range(length):
        x = values[:, at : at + 1]
        bet = np.sqrt(2 * log(2 / alpha) / (variance * n_plan))
        up += np.log1p(np.minimum(bet, cap_up) * (x - m))
        down += np.log1p(-np.minimum(bet, cap_down) * (x - m))
        living &= np.maximum(up, down) + log(0.5) < log(1 / alpha)
        out[:, at] = living
        total = total + x
        mean = total / (at + 2)
        squares = squares + (x - mean) ** 2
        variance = squares / (at + 2)
    return out


def betting_cs(
    D: Any,  # noqa: N803 - the paired differences are D everywhere in the docs
    alpha: float,
    n_plan: int,
    step: float = 0.001,
) -> list[tuple[float, float]]:
    """Return (low, high) for the mean of D in [-1, 1] after each value, together 1 - alpha.

    One-sided level l is `alpha=2 * l`. Where values contradict every mean (their mean drifts),
    the last interval that was not empty is kept.
    """
    stream = np.asarray(D, float)
    grid = np.arange(0, 1 + step / 4, step / 2) * 2 - 1
    living = alive(stream[None], grid, alpha, n_plan)[0]
    out: list[tuple[float, float]] = []
    for row in living:
        kept = np.flatnonzero(row)
        out.append((float(grid[kept[0]]), float(grid[kept[-1]])) if kept.size else out[-1])
    return out
