"""Permutation tests of a paired difference: a break over time, likeness in a file. Arrays only.

Under the null the rows (or groups) are exchangeable over time, whatever their distribution, so the
level is exact up to the number of permutations. The statistic is the largest step of the mean over
all cuts between a tenth and nine tenths of the units, each divided by its standard error's size
sqrt(k (U - k) / U): the CUSUM of changes in level (Page 1955, Biometrika 42, 523-527), which
detects a slow drift as well. Groups are permuted whole, in the order of their median time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats.clusters import cluster_numbers

Array = np.ndarray[Any, Any]

MIN_UNITS = 20
"""With fewer units only the crudest break shows at a level of .01, so nothing is tested."""
_EDGE_SHARE = 0.1  # the share of the units at either end that no cut separates
MOST_PERMUTATIONS, BATCH_PERMUTATIONS = 4_999, 500  # permutations in all, and per batch
ENOUGH_AS_LARGE = 25  # permutations with a step as large as observed after which counting stops


class ChangePoint(NamedTuple):
    """The likeliest break: its p-value and a mask of the rows before it."""

    p: float
    before: Array


def largest_change_point(values: Any, times: Any, groups: Any = None) -> ChangePoint | None:
    """Return the largest break of the mean over time, None below 20 units or without two times.

    `times` are numbers; a cut never separates units of one time. `groups` names rows that belong
    together. Raises ValueError if lengths differ.
    """
    diffs, moments = np.asarray(values, float), np.asarray(times, float)
    if diffs.size != moments.size:
        raise ValueError(f"{moments.size} times for {diffs.size} values")
    numbers = np.arange(diffs.size) if groups is None else cluster_numbers(groups, diffs.size)
    if not diffs.size or (units := int(numbers.max()) + 1) < MIN_UNITS:
        return None
    middle = np.array([np.median(moments[numbers == unit]) for unit in range(units)])
    order = np.argsort(middle, kind="stable")
    sums = np.bincount(numbers, diffs - diffs.mean())[order]
    cuts = _possible_cuts(middle[order])
    if not cuts.size:
        return None
    steps = _step_sizes(sums[None, :], cuts)[0]
    at = int(steps.argmax())
    least, place = float(steps[at]) - 1e-9, np.argsort(order)
    p = _share_as_large(sums, lambda rows: _step_sizes(rows, cuts).max(axis=1) >= least)
    return ChangePoint(p, place[numbers] < cuts[at])


def neighbours_alike(values: Any, strata: Any = None, groups: Any = None) -> float | None:
    """Return the p-value of a test whether rows near each other in the file have like values.

    `values` stand in the order of the file; None below 20 groups, or if nothing can be shuffled.
    Each statistic is a sum of autocovariances with falling weights: up to lag 1, 4 and 9, as of
    clusters in a row, and at the first four multiples of 2 to 20, as of clusters that alternate.
    The largest counts, each in standard deviations of shuffled rows, those of the second kind less
    by 1, as they are many and rarer. Shuffling swaps whole groups of one size, and the rows inside
    of each, so what the rows of a named group share is no alarm. `strata` names classes whose own
    mean is taken away, as rows may be sorted by class.
    """
    diffs = np.asarray(values, float)
    numbers = np.arange(diffs.size) if groups is None else cluster_numbers(groups, diffs.size)
    if not diffs.size or int(numbers.max()) + 1 < MIN_UNITS:
        return None
    classes = np.zeros(diffs.size, int) if strata is None else cluster_numbers(strata, diffs.size)
    rest = diffs - (np.bincount(classes, diffs) / np.bincount(classes))[classes]
    weights, less = _lag_weights(diffs.size)

    def sums(rows: Array) -> Array:
        waves = np.fft.rfft(rows.astype(np.float32), axis=1)[:, 1:]
        return np.asarray((waves.real**2 + waves.imag**2) @ weights)

    apart = sums(_shuffled(np.random.default_rng(20_252), BATCH_PERMUTATIONS, rest, numbers))
    middle, spread = apart.mean(0), apart.std(0)
    if not (moves := spread > 1e-5 * (rest @ rest)).any():
        return None

    def largest(rows: Array) -> Array:
        return np.asarray(((sums(rows) - middle)[:, moves] / spread[moves] - less[moves]).max(1))

    observed = float(largest(rest[None, :])[0]) - 1e-4
    return _share_as_large(rest, lambda rows: largest(rows) >= observed, numbers, 1_999)


@lru_cache(maxsize=64)
def _lag_weights(n: int) -> tuple[Array, Array]:
    """Return (weights of n rows' power spectrum per statistic, what is taken off each statistic).

    The cosine transform of the power is the autocovariances of a file whose end meets its start.
    """
    steps = [(1, reach) for reach in (1, 4, 9)] + [(step, 4) for step in range(2, 21)]
    lags = np.zeros((n, len(steps)))
    for at, (step, reach) in enumerate(steps):
        times = np.arange(1, max(1, min(reach, n // 2 // step)) + 1)
        lags[np.minimum(times * step, n // 2), at] = 1 - times / (times.size + 1)
    waves = np.fft.rfft(lags / n, axis=0).real[1:].astype(np.float32)
    return waves, np.array([step > 1 for step, _ in steps], float)


def _possible_cuts(middle: Array) -> Array:
    """Return the places of possible cuts: each is the number of units before the cut."""
    units = middle.size
    counts = np.arange(1, units)
    inside = (counts >= _EDGE_SHARE * units) & (counts <= (1 - _EDGE_SHARE) * units)
    return np.asarray(counts[inside & (middle[1:] > middle[:-1])])


def _step_sizes(sums: Array, cuts: Array) -> Array:
    """Return the step size at each cut, for each row of `sums`; each row adds up to 0."""
    units = sums.shape[1]
    so_far = np.cumsum(sums, axis=1)[:, cuts - 1]
    return np.asarray(np.abs(so_far) / np.sqrt(cuts * (units - cuts) / units))


def _share_as_large(
    values: Array,
    as_large: Callable[[Array], Array],
    numbers: Array | None = None,
    most: int = MOST_PERMUTATIONS,
) -> float:
    """Return the p-value: share of random permutations of `values` that `as_large` marks True.

    Counting stops after 25 as large ones (Besag and Clifford 1991, Biometrika 78, 301-304).
    """
    rng = np.random.default_rng(20_251)
    hits = drawn = 0
    while drawn < most and hits < ENOUGH_AS_LARGE:
        many = min(BATCH_PERMUTATIONS, most - drawn)
        hits += int(as_large(_shuffled(rng, many, values, numbers)).sum())
        drawn += many
    return (1 + hits) / (1 + drawn)


def _shuffled(rng: np.random.Generator, many: int, values: Array, numbers: Array | None) -> Array:
    """Return permutations (many, n): whole groups of one size swap, and the rows inside of each."""
    if numbers is None or int(numbers.max()) + 1 == values.size:
        return np.asarray(rng.permuted(np.broadcast_to(values, (many, values.size)), axis=1))
    sizes = np.bincount(numbers)
    order = 2 * sizes[numbers] + rng.random((many, sizes.size))[:, numbers]
    order += 1e-9 * rng.random((many, values.size))  # inside of a group
    found = np.empty((many, values.size))
    found[:, np.lexsort((numbers, sizes[numbers]))] = values[np.argsort(order, axis=1)]
    return found
