"""Statistical power: what n rows can show, and how many rows a question needs."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np

from tuneworthy.stats.bounds import look_cost
from tuneworthy.stats.discordant import discordant_bounds
from tuneworthy.stats.distributions import binomial_chance, normal_cdf, normal_quantile

POWER_QUANTILES = 2.80
"""Sum of the normal quantiles of a two-sided 5 % test and of power .8; its square is 7.84."""
MOST_EXACT_ROWS = 400
"""Up to this many rows the power is summed over all outcomes."""


def minimum_detectable_effect(n: int, d: float, factor: float = 1.0) -> float:
    """Return the smallest true difference detected with power .8 on n rows (two-sided 5 %).

    `d` is the share of rows on which the two arms' scores differ, `factor` the width factor of
    cross-fitting. Above 1 nothing can be detected. Raises ValueError for n < 1.
    """
    if n < 1:
        raise ValueError("no rows show nothing")
    return POWER_QUANTILES * factor * sqrt(d / (n + POWER_QUANTILES**2))


def rows_needed(d: float, delta: float, factor: float = 1.0) -> int:
    """Return the number of rows that show a true difference `delta` with power .8; at least 1."""
    if delta <= 0:
        raise ValueError("a difference of 0 can't be shown")
    return max(1, ceil(POWER_QUANTILES**2 * factor**2 * (d / delta**2 - 1)))


def equivalent_fresh_rows(n: int, look: int, level: float = 0.05) -> int:
    """Return how many fresh cases would show as much as n cases at this look.

    A bound at `level` / `look_cost(look)` is wider by the ratio of the normal quantiles; rows count
    as its square. At the first look it is n.
    """
    paid = level / look_cost(look)
    return round(n * float(normal_quantile(1 - level) / normal_quantile(1 - paid)) ** 2)


def exact_power(n: int, d: float, gain: float, level: float) -> float:
    """Return the chance that n independent rows show a true gain (a lower bound above 0).

    `d` is the share of rows on which the two arms' 0/1 scores differ, at least the gain; `level`
    that of the bound. Summed over all outcomes up to 400 rows, beyond that by the normal law.
    Raises ValueError for no rows, or a gain that is not positive.
    """
    if n < 1 or gain <= 0:
        raise ValueError("no rows, or no gain, show nothing")
    differ = max(d, gain)
    if n > MOST_EXACT_ROWS:
        sd = sqrt(max(differ - gain**2, 1e-12) / n)
        return float(normal_cdf(gain / sd - normal_quantile(1 - level)))
    wins, losses = np.triu_indices(n + 1)
    losses = losses - wins  # every pair with wins + losses <= n
    weight = binomial_chance(wins + losses, n, differ)
    weight = weight * binomial_chance(wins, wins + losses, (1 + gain / differ) / 2)
    likely = weight > 1e-9  # the rest is below the last digit shown
    low = np.asarray(discordant_bounds(wins[likely], losses[likely], n, level)[0])
    return float(weight[likely][low > 0].sum())
