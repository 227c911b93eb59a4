"""Statistical power: what n rows can show, and how many rows a question needs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from math import ceil, sqrt
from typing import Any

import numpy as np

from tuneworthy.stats.bounds import Array, paired
from tuneworthy.stats.clusters import cluster_numbers
from tuneworthy.stats.distributions import (
    binomial_chance,
    binomial_tail,
    normal_cdf,
    normal_quantile,
)
from tuneworthy.stats.graded import BOOTSTRAPS, bootstrap_means, discordant_bounds
from tuneworthy.stats.look_cost import look_cost

POWER_QUANTILES = 2.80

"""Sum of the normal quantiles of a two-sided 5 % test and of power .8; its square is 7.84."""

POWER = 0.8  # the chance of showing a difference that rows are sized for

_MOST_EXACT_ROWS = 400

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
    """Return how many rows, at least 1, show a true difference `delta` with power .8."""
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


def exact_power(n: int, d: float, gain: float, level: float, factor: float = 1.0) -> float:
    """Return the chance that n independent rows show a true gain (a lower bound above 0).

    `d` is the share of rows on which the two arms' 0/1 scores differ, at least the gain; `level`
    that of the bound, which is `factor` times as wide as that of independent rows. Summed over all
    outcomes up to 400 rows, beyond that by the normal law. Raises ValueError for no rows, or a gain
    that is not positive.
    """
    if n < 1 or gain <= 0:
        raise ValueError("no rows, or no gain, show nothing")
    differ = max(d, gain)
    if n > _MOST_EXACT_ROWS:
        sd = sqrt(max(differ - gain**2, 1e-12) / n)
        return float(normal_cdf(gain / sd - factor * normal_quantile(1 - level)))
    wins, losses, mean, low = _outcomes(n, level)
    shown = mean - factor * (mean - low) > 0
    wins, losses = wins[shown], losses[shown]
    weight = binomial_chance(wins + losses, n, differ)
    return float((weight * binomial_chance(wins, wins + losses, (1 + gain / differ) / 2)).sum())


@lru_cache(maxsize=4)
def _outcomes(n: int, level: float) -> tuple[Array, Array, Array, Array]:
    """Return (wins, losses, mean, lower bound) of every outcome on n rows with more wins."""
    wins, losses = np.triu_indices(n + 1)
    losses = losses - wins  # every pair with wins + losses <= n
    wins, losses = wins[wins > losses], losses[wins > losses]
    low = np.asarray(discordant_bounds(wins, losses, n, level)[0])
    return wins, losses, (wins - losses) / n, low


def grouped_power(
    groups: int, size: int, d: float, gain: float, level: float, factor: float = 1.0
) -> float:
    """Return the chance that equal groups of rows that stand or fall together show a true gain.

    As `exact_power`, with the bound of rows in groups, which allows for a group not seen.
    """
    differ = max(d, gain)
    lose, total = (differ - gain) / 2, 0.0
    for losses in range(groups + 1):
        chance = float(binomial_chance(losses, groups, lose))
        if chance > 1e-4 and (least := _fewest_wins(groups, size, losses, level, factor)):
            share = min(1.0, (differ + gain) / 2 / (1 - lose))
            total += chance * binomial_tail(least - 1, groups - losses, share)
    return total


@lru_cache(maxsize=4096)
def _fewest_wins(groups: int, size: int, losses: int, level: float, factor: float) -> int:
    """Return the fewest groups won that show a gain beside so many lost ones; 0 if none do."""
    numbers = np.repeat(np.arange(groups), size)

    def shown(wins: int) -> bool:
        values = np.repeat([1.0, -1.0, 0.0], [wins, losses, groups - wins - losses])[numbers]
        found = paired(values, level, groups=numbers)
        return found.mean - factor * (found.mean - found.low) > 0

    possible = range(losses + 1, groups - losses + 1)
    least = bisect_left(possible, True, key=shown)
    return possible[least] if least < len(possible) else 0


def smallest_shown(chance: Callable[[float], float], least: float = POWER) -> float:
    """Return the smallest true gain that is shown with chance `least`; 1 if none is.

    `chance` returns the chance of a gain, which rises with it; thousandths are resolved.
    """
    return (1 + bisect_left(range(1, 1000), least, key=lambda points: chance(points / 1000))) / 1000


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
