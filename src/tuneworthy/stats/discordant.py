"""Bounds for paired 0/1 scores: only the cases on which two arms differ carry information."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from scipy.special import ndtri

from tuneworthy.stats.distributions import beta_quantile

Array = np.ndarray[Any, Any]

EXACT_BELOW = 10
"""With fewer differing pairs the bounds are exact (Clopper-Pearson)."""


def clopper_pearson(k: Any, n: Any, tail: Any) -> tuple[Array, Array]:
    """Return exact lower and upper bounds of a share, `tail` of error each (arrays broadcast)."""
    k, n = np.broadcast_arrays(np.asarray(k, float), np.asarray(n, float))
    low = np.where(k > 0, beta_quantile(tail, np.maximum(k, 1), n - k + 1), 0.0)
    high = np.where(k < n, beta_quantile(1 - tail, k + 1, np.maximum(n - k, 1)), 1.0)
    return low, high


def discordant_bounds(
    wins: Any, losses: Any, n: int, level: Any, few: int = EXACT_BELOW
) -> tuple[Array, Array]:
    """Return one-sided bounds of (wins - losses) / n, each at `level`; arrays are elementwise.

    Below `few` differing pairs the Clopper-Pearson bounds of the two shares are combined
    (conservative on purpose); from there on, the score bound of Tango (1998).
    """
    wins, losses, level = np.broadcast_arrays(
        np.asarray(wins, float), np.asarray(losses, float), np.asarray(level, float)
    )
    low, high = np.zeros(wins.shape), np.zeros(wins.shape)
    many = wins + losses >= few
    if not many.all():
        low[~many], high[~many] = _exact_bounds(wins[~many], losses[~many], n, level[~many])
    if many.any():
        z = ndtri(1 - level[many])
        bound = _tango_bound_of_one if wins.size == 1 else _tango_bound
        low[many] = bound(wins[many], losses[many], n, z)
        high[many] = bound(wins[many], losses[many], n, -z)
    return low, high


def _exact_bounds(wins: Array, losses: Array, n: int, level: Array) -> tuple[Array, Array]:
    win_low, win_high = clopper_pearson(wins, n, level / 2)
    loss_low, loss_high = clopper_pearson(losses, n, level / 2)
    return win_low - loss_high, win_high - loss_low


def _tango_statistic(wins: Array, losses: Array, n: int, diff: Array) -> Array:
    """Return Tango's statistic for a difference; it decreases as the difference grows."""
    b = -wins - losses + (2 * n - wins + losses) * diff
    root = np.sqrt(np.maximum(b * b + 8 * n * losses * diff * (1 - diff), 0))
    q = (root - b) / (4 * n)
    variance = np.maximum(n * (2 * q + diff * (1 - diff)), 1e-12)
    return np.asarray((wins - losses - n * diff) / np.sqrt(variance))


def _tango_bound(wins: Array, losses: Array, n: int, z: Array) -> Array:
    """Return the difference at which Tango's statistic equals `z`, by bisection."""
    low = np.full(wins.shape, -1 + 1e-9)
    high = np.full(wins.shape, 1 - 1e-9)
    for _ in range(50):  # bisection to 2 / 2**50, below the double precision of a mean
        middle = (low + high) / 2
        above = _tango_statistic(wins, losses, n, middle) > z
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


def _tango_bound_of_one(wins: Array, losses: Array, n: int, z: Array) -> float:
    """Return `_tango_bound` of one pair, bit for bit: floats are quicker than arrays of one."""
    won, lost, least = float(wins[0]), float(losses[0]), float(z[0])
    low, high = -1 + 1e-9, 1 - 1e-9
    for _ in range(50):
        diff = (low + high) / 2
        b = -won - lost + (2 * n - won + lost) * diff
        q = (sqrt(max(b * b + 8 * n * lost * diff * (1 - diff), 0.0)) - b) / (4 * n)
        variance = max(n * (2 * q + diff * (1 - diff)), 1e-12)
        if (won - lost - n * diff) / sqrt(variance) > least:
            low = diff
        else:
            high = diff
    return low
