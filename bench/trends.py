"""How often is a break over time called out where there is none, and how often is a real one found?

usage: trends.py [draws]   at a level of .01; independent rows, groups, graded, autocorrelated
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tuneworthy.records.split import TREND_ALPHA
from tuneworthy.stats.trend import largest_change_point

Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator, int], Array]
RIVAL = 0.6


def even(rng: np.random.Generator, n: int) -> Array:
    return rng.choice([-1.0, 0.0, 1.0], n, p=[0.08, 0.8, 0.12])


def whole_groups(rng: np.random.Generator, n: int) -> Array:
    return np.repeat(rng.choice([-1.0, 0.0, 1.0], n // 5, p=[0.1, 0.75, 0.15]), 5)


def graded(rng: np.random.Generator, n: int) -> Array:
    return np.clip(rng.normal(0.02, 0.05, n), -1, 1) - (rng.random(n) < 0.02) * 0.9


def neighbours(rng: np.random.Generator, n: int) -> Array:
    """Each row's lead is drawn with a correlation of .5 to the row before."""
    noise, level = rng.normal(size=n), np.zeros(n)
    for at in range(1, n):
        level[at] = 0.5 * level[at - 1] + noise[at]
    return np.where(np.abs(level) > 1.3, np.sign(level), 0.0)


def step(before: float, after: float, share: float) -> Draw:
    def draw(rng: np.random.Generator, n: int) -> Array:
        first = int(share * n)
        chance = np.r_[np.full(first, before), np.full(n - first, after)]
        return (rng.random(n) < chance).astype(float) - (rng.random(n) < RIVAL)

    return draw


def rate(draw: Draw, n: int, draws: int, groups: Array | None = None) -> float:
    rng = np.random.default_rng(0)
    found = [largest_change_point(draw(rng, n), np.arange(n), groups) for _ in range(draws)]
    return sum(one is not None and one.p <= TREND_ALPHA for one in found) / draws


def main(draws: int) -> None:
    for n in (60, 150, 400):
        print(f"n {n}: false alarms {rate(even, n, draws):.3f}", end="; found")
        for before, after, share in ((0.9, 0.35, 0.6), (0.9, 0.7, 0.6), (0.9, 0.5, 0.8)):
            seen = rate(step(before, after, share), n, draws)
            print(f" {before} then {after}: {seen:.3f}", end=",")
        print(flush=True)
    print(f"60 groups of 5: {rate(whole_groups, 300, draws, np.arange(300) // 5):.3f}")
    print(f"graded, 150 rows: {rate(graded, 150, draws):.3f}")
    print(f"neighbours correlated by .5, 150 rows: {rate(neighbours, 150, draws):.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
