"""What so many rows can show, and how many rows a question still needs."""

from __future__ import annotations

from math import ceil, sqrt

from scipy.stats import norm

Z = 2.80
"""Normal quantiles of a two-sided 5 % test and of power .8, added; its square is 7.84."""


def mde(n: int, d: float, factor: float = 1.0) -> float:
    """Return the smallest true difference seen with power .8 on n rows (two-sided 5 %).

    `d` is the share of rows on which the two arms' scores differ, `factor` the width factor of
    cross-fitting. Above 1 nothing can be seen. Raises ValueError for n < 1.
    """
    if n < 1:
        raise ValueError("no rows show nothing")
    return Z * factor * sqrt(d / (n + Z**2))


def rows_needed(d: float, delta: float, factor: float = 1.0) -> int:
    """Return the rows that show a true difference `delta` with power .8; at least 1."""
    if delta <= 0:
        raise ValueError("a difference of 0 can't be shown")
    return max(1, ceil(Z**2 * factor**2 * (d / delta**2 - 1)))


def worth(n: int, look: int, level: float = 0.05) -> int:
    """Return how many fresh cases would show what n cases show at this look of them.

    A bound at `level` / look is wider by the ratio of the normal quantiles; rows count as its
    square. At the first look it is n.
    """
    return round(n * float(norm.ppf(1 - level) / norm.ppf(1 - level / look)) ** 2)
