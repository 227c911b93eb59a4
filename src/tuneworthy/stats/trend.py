"""Does a paired difference move with time? A permutation test of the largest break. Arrays only.

Under the null the rows (or groups) are exchangeable over time, whatever their distribution, so the
level is exact up to the number of permutations. The statistic is the largest step of the mean over
all cuts between a tenth and nine tenths of the units, each divided by its standard error's size
sqrt(k (U - k) / U): the CUSUM of changes in level (Page 1955, Biometrika 42, 523-527), which sees a
slow drift as well. Groups are permuted whole, in the order of their middle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats.clusters import cluster_numbers

Array = np.ndarray[Any, Any]

LEAST = 20
"""Fewer units than this show no break at a level of .01 but the crudest: nothing is tested."""
EDGE = 0.1
MOST, BATCH, ENOUGH = 4_999, 500, 25
"""Permutations at most, a batch of them, and how many as large ones end the count early."""


class Break(NamedTuple):
    """The likeliest break: its p-value and the rows before it, as a mask."""

    p: float
    before: Array


def largest_break(values: Any, times: Any, groups: Any = None) -> Break | None:
    """Return the largest break of the mean over time, None below 20 units or without two times.

    `times` are numbers; a cut never parts units of one time. `groups` names rows that belong
    together. Raises ValueError where lengths differ.
    """
    diffs, moments = np.asarray(values, float), np.asarray(times, float)
    if diffs.size != moments.size:
        raise ValueError(f"{moments.size} times for {diffs.size} values")
    numbers = np.arange(diffs.size) if groups is None else cluster_numbers(groups, diffs.size)
    if not diffs.size or (units := int(numbers.max()) + 1) < LEAST:
        return None
    middle = np.array([np.median(moments[numbers == unit]) for unit in range(units)])
    order = np.argsort(middle, kind="stable")
    sums = np.bincount(numbers, diffs - diffs.mean())[order]
    cuts = _cuts(middle[order])
    if not cuts.size:
        return None
    found = _steps(sums[None, :], cuts)[0]
    at = int(found.argmax())
    place = np.empty(units, int)
    place[order] = np.arange(units)
    return Break(_share(sums, cuts, float(found[at])), place[numbers] < cuts[at])


def _cuts(middle: Array) -> Array:
    """Return how many units stand before each cut that is tried."""
    units = middle.size
    counts = np.arange(1, units)
    inside = (counts >= EDGE * units) & (counts <= (1 - EDGE) * units)
    return np.asarray(counts[inside & (middle[1:] > middle[:-1])])


def _steps(sums: Array, cuts: Array) -> Array:
    """Return the size of the step at each cut, for each row of `sums`; each row adds up to 0."""
    units = sums.shape[1]
    so_far = np.cumsum(sums, axis=1)[:, cuts - 1]
    return np.asarray(np.abs(so_far) / np.sqrt(cuts * (units - cuts) / units))


def _share(sums: Array, cuts: Array, seen: float) -> float:
    """Return the share of permutations with a step as large; few are drawn where many are.

    Counting ends after 25 as large ones (Besag and Clifford 1991, Biometrika 78, 301-304).
    """
    rng = np.random.default_rng(20_251)
    hits = drawn = 0
    while drawn < MOST and hits < ENOUGH:
        many = min(BATCH, MOST - drawn)
        mixed = rng.permuted(np.broadcast_to(sums, (many, sums.size)), axis=1)
        hits += int((_steps(mixed, cuts).max(axis=1) >= seen - 1e-9).sum())
        drawn += many
    return (1 + hits) / (1 + drawn)
