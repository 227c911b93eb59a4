"""Agreement of two graders, and the slope of a grade on a covariate: numpy and scipy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit


def weighted_kappa(one: Any, other: Any, levels: int) -> float | None:
    """Return Cohen's kappa with linear weights for two lists of levels 0 .. levels - 1.

    None if disagreement is impossible: no grades, or both graders gave one level only. Source:
    Cohen 1968.
    """
    a, b = (np.asarray(v, int).ravel() for v in (one, other))
    if not a.size or a.size != b.size:
        return None
    observed = np.zeros((levels, levels))
    np.add.at(observed, (a, b), 1 / a.size)
    weights = np.abs(np.subtract.outer(np.arange(levels), np.arange(levels))) / max(1, levels - 1)
    chance = float((weights * np.outer(observed.sum(1), observed.sum(0))).sum())
    return None if chance == 0 else 1 - float((weights * observed).sum()) / chance


def slope(x: Any, y: Any, level: float = 0.05) -> tuple[float, float, float] | None:
    """Return the least-squares slope of y on x with its two-sided interval by Student's t.

    None below three points or if x does not vary.
    """
    a, b = (np.asarray(v, float).ravel() for v in (x, y))
    off = a - a.mean() if a.size else a
    spread = float(off @ off)
    if a.size < 3 or spread == 0:
        return None
    steep = float(off @ b) / spread
    residual = b - b.mean() - steep * off
    se = float(np.sqrt(residual @ residual / (a.size - 2) / spread))
    half = float(stdtrit(a.size - 2, 1 - level / 2)) * se
    return steep, steep - half, steep + half
