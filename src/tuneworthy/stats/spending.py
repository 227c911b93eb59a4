"""Spend one error over looks at rows that grow: what an earlier look at them already paid for.

Looks at nested rows resemble each other, so the chance that a later bound errs where no earlier one
did is smaller than its level. The means are taken as normal with independent increments. Source:
Armitage, McPherson and Rowe (1969); Lan and DeMets (1983), "Discrete sequential boundaries".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tuneworthy.stats.distributions import normal_cdf, normal_quantile

_nodes_and_weights = lru_cache(np.polynomial.legendre.leggauss)  # slow: not at each start
_FAR = 8.0  # standard deviations beyond which no mean is expected
_NEAREST = 0.97
"""Rows of an earlier look count as at most this share of the next one's: a lower correlation than
the true one makes a level smaller, and the integration needs some distance."""


def look_cost(looks: int) -> float:
    """Return the divisor of alpha for a look at the same cases: 1 for the first, then 2 L (L - 1).

    The first look is free, and any number of looks spends at most 1.5 alpha together: 1 / (2 L (L -
    1)) summed from the second look on is 1/2. With a divisor of L, ten looks would spend 2.9 alpha.
    """
    if looks < 1:
        raise ValueError(f"no level for look {looks}")
    return float(2 * looks * (looks - 1)) if looks > 1 else 1.0


def nested_level(steps: Sequence[tuple[float, float]]) -> float:
    """Return the one-sided level of the last look at nested rows.

    `steps` are (error, rows) of each look in order, at least one: how much error that look may add
    to those before. Every look has the level that this function gave it. The result is never below
    the last error, which is its level if nothing was seen before.
    """
    errors, rows = [error for error, _ in steps], [float(count) for _, count in steps]
    for at in range(len(rows) - 2, -1, -1):
        rows[at] = min(rows[at], _NEAREST * rows[at + 1])
    return _level(tuple(errors), tuple(size / rows[-1] for size in rows))


@lru_cache(maxsize=1024)
def _level(errors: tuple[float, ...], rows: tuple[float, ...]) -> float:
    level, ends, density = errors[0], np.zeros(1), np.ones(1)  # a walk that starts at 0
    before, (unit_nodes, weights) = 0.0, _nodes_and_weights(240)
    for at, (error, size) in enumerate(zip(errors, rows, strict=True)):
        step = np.sqrt(size - before)
        low, high = 0.0, _FAR
        for _ in range(50 if at else 0):  # bisection: the crossing falls as the bound rises
            middle = (low + high) / 2
            crossed = density @ normal_cdf((ends - middle * np.sqrt(size)) / step)
            low, high = (middle, high) if crossed > error else (low, middle)
        level = max(error, float(normal_cdf(-high))) if at else error
        line, floor = float(normal_quantile(1 - level)) * np.sqrt(size), -_FAR * np.sqrt(size)
        nodes = (line - floor) / 2 * unit_nodes + (line + floor) / 2
        kernel = np.exp(-0.5 * ((nodes - ends[:, None]) / step) ** 2) / (step * np.sqrt(2 * np.pi))
        ends, density = nodes, (density @ kernel) * weights * (line - floor) / 2
        before = size
    return level
