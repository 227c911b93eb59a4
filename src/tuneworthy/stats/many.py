"""Simultaneous levels for many arms compared on the same rows: one error for all of them.

The arms' means are taken as jointly normal with the covariance of the rows; the level of a pair is
that at which no other arm of the same family errs either (max-t). Arrays only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tuneworthy.stats.distributions import normal_cdf, normal_quantile

Array = np.ndarray[Any, Any]

DRAWS = 10_000

_SMALL_LEVEL = 0.005  # below it the draws estimate a tail poorly: Bonferroni is within 15 % there

_ZERO_VARIANCE = 1e-12  # a variance below it means two arms with the same score in every row


def covariance(scores: Array, numbers: Array | None = None) -> Array:
    """Return the covariance (A, A) of the means of `scores` (n, A), clustered by group.

    `numbers` (n,) gives each row its group, 0 to G - 1.
    """
    off = scores - scores.mean(0)
    if numbers is not None and numbers.max() + 1 < len(off):
        sums = np.zeros((int(numbers.max()) + 1, off.shape[1]))
        np.add.at(sums, numbers, off)
        off = sums
    return np.asarray(off.T @ off) / len(scores) ** 2


def pair_levels(spread: Array, tail: float, rivals: Array | None = None) -> Array:
    """Return for each arm b the level (A,) of its bounds against its rivals s.

    At that level the chance that any bound of b - s breaks is `tail`, over all rivals together.
    `spread` is the covariance of the arms' means; `rivals` (A, A) says which s count for b (all
    others if None). An arm with one rival, or none, has `tail` itself; so have arms that never
    differ. Source: Hsu (1984), multiple comparisons with the best; max-t of Hothorn, Bretz and
    Westfall (2008).
    """
    count = len(spread)
    there = ~np.eye(count, dtype=bool)
    if rivals is not None:
        there &= rivals
    variance = np.diag(spread)[:, None] + np.diag(spread) - 2 * spread
    there &= variance > _ZERO_VARIANCE
    draws = _joint_draws(spread)
    levels = np.full(count, tail)
    for b in range(count):
        own = np.flatnonzero(there[b])
        if own.size > 1:
            most = np.full(DRAWS, -np.inf)
            for s in own:  # one rival at a time fits in the CPU cache
                np.maximum(most, (draws[b] - draws[s]) / np.sqrt(variance[b, s]), out=most)
            levels[b] = _joint_level(most, tail, own.size)
    return levels


def best_of_many_level(spread: Array, tail: float) -> float:
    """Return the level at which one-sided bounds of all arms' means hold together, error `tail`.

    For the score of an arm that the same rows chose as the best of several.
    """
    variance = np.diag(spread)
    own = np.flatnonzero(variance > _ZERO_VARIANCE)
    if own.size < 2:
        return tail
    most = (_joint_draws(spread)[own] / np.sqrt(variance[own, None])).max(0)
    return _joint_level(most, tail, own.size)


def _joint_draws(spread: Array) -> Array:
    """Return an array (A, DRAWS) of normal draws with covariance `spread`, from a fixed seed."""
    values, vectors = np.linalg.eigh((spread + spread.T) / 2)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return np.asarray(root @ _standard_draws(len(spread)))


@lru_cache(maxsize=4)
def _standard_draws(arms: int) -> Array:
    half = np.random.default_rng(20_251).standard_normal((arms, DRAWS // 2))
    return np.concatenate([half, -half], 1)


def _joint_level(most: Array, tail: float, count: int) -> float:
    """Return the level whose normal quantile is the 1 - `tail` quantile of a maximum of `count`.

    Never below Bonferroni's, which always holds, and never above `tail`.
    """
    if tail < _SMALL_LEVEL:
        return tail / count
    value = float(normal_cdf(-np.quantile(most, 1 - tail)))
    value = float(f"{value:.6g}")  # summation order changes the last digits
    return min(tail, max(tail / count, value))


_nodes_and_weights = lru_cache(np.polynomial.legendre.leggauss)  # slow: not at each start

_MOST_SD = 8.0  # standard deviations beyond which no mean is expected

_MOST_NESTED_SHARE = 0.97

"""Rows of an earlier look count as at most this share of the next one's: a lower correlation than
the true one makes a level smaller, and the integration needs some distance."""


def nested_level(steps: Sequence[tuple[float, float]]) -> float:
    """Return the one-sided level of the last look, where each look has all rows of earlier ones.

    `steps` are (error, rows) of each look in order, at least one: how much error that look may add
    to those before. Every look has the level that this function gave it. The result is never below
    the last error, which is its level if nothing was seen before.
    """
    errors, rows = [error for error, _ in steps], [float(count) for _, count in steps]
    for at in range(len(rows) - 2, -1, -1):
        rows[at] = min(rows[at], _MOST_NESTED_SHARE * rows[at + 1])
    return _level_of_last_look(tuple(errors), tuple(size / rows[-1] for size in rows))


@lru_cache(maxsize=1024)
def _level_of_last_look(errors: tuple[float, ...], rows: tuple[float, ...]) -> float:
    level, ends, density = errors[0], np.zeros(1), np.ones(1)  # a walk that starts at 0
    before, (unit_nodes, weights) = 0.0, _nodes_and_weights(240)
    for at, (error, size) in enumerate(zip(errors, rows, strict=True)):
        step = np.sqrt(size - before)
        low, high = 0.0, _MOST_SD
        for _ in range(50 if at else 0):  # bisection: the crossing falls as the bound rises
            middle = (low + high) / 2
            crossed = density @ normal_cdf((ends - middle * np.sqrt(size)) / step)
            low, high = (middle, high) if crossed > error else (low, middle)
        level = max(error, float(normal_cdf(-high))) if at else error
        line, floor = float(normal_quantile(1 - level)) * np.sqrt(size), -_MOST_SD * np.sqrt(size)
        nodes = (line - floor) / 2 * unit_nodes + (line + floor) / 2
        kernel = np.exp(-0.5 * ((nodes - ends[:, None]) / step) ** 2) / (step * np.sqrt(2 * np.pi))
        ends, density = nodes, (density @ kernel) * weights * (line - floor) / 2
        before = size
    return level
