"""Permutation tests of a paired difference: a break over time, neighbours in a file. Arrays only.

Under the null the rows (or groups) are exchangeable over time, whatever their distribution, so the
level is exact up to the number of permutations. The statistic is the largest step of the mean over
all cuts between a tenth and nine tenths of the units, each divided by its standard error's size
sqrt(k (U - k) / U): the CUSUM of changes in level (Page 1955, Biometrika 42, 523-527), which
detects a slow drift as well. Groups are permuted whole, in the order of their median time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats.clusters import cluster_numbers

Array = np.ndarray[Any, Any]

MIN_UNITS = 20
"""With fewer units only the crudest break shows at a level of .01, so nothing is tested."""
EDGE_SHARE = 0.1  # the share of the units at either end that no cut separates
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
    place = np.empty(units, int)
    place[order] = np.arange(units)
    return ChangePoint(_permutation_p(sums, cuts, float(steps[at])), place[numbers] < cuts[at])


def neighbours_alike(values: Any, strata: Any = None) -> float | None:
    """Return the p-value of a test whether neighbours have like values; None below 20 values.

    `values` stand in the order of the file. The statistic is the sum of the products of neighbours
    after the mean is taken away (the lag-1 autocovariance). `strata` names classes whose own mean
    is taken away, as rows may be sorted by class. None too if no value differs from its mean.
    """
    diffs = np.asarray(values, float)
    if diffs.size < MIN_UNITS:
        return None
    numbers = np.zeros(diffs.size, int) if strata is None else cluster_numbers(strata, diffs.size)
    rest = diffs - (np.bincount(numbers, diffs) / np.bincount(numbers))[numbers]
    if not np.abs(rest).max() > 1e-9:
        return None
    observed = float(rest[1:] @ rest[:-1])

    def as_large(rows: Array) -> Array:
        return np.asarray((rows[:, 1:] * rows[:, :-1]).sum(axis=1) >= observed - 1e-9)

    return _share_as_large(rest, as_large)


def _possible_cuts(middle: Array) -> Array:
    """Return the number of units before each cut to try."""
    units = middle.size
    counts = np.arange(1, units)
    inside = (counts >= EDGE_SHARE * units) & (counts <= (1 - EDGE_SHARE) * units)
    return np.asarray(counts[inside & (middle[1:] > middle[:-1])])


def _step_sizes(sums: Array, cuts: Array) -> Array:
    """Return the step size at each cut, for each row of `sums`; each row adds up to 0."""
    units = sums.shape[1]
    so_far = np.cumsum(sums, axis=1)[:, cuts - 1]
    return np.asarray(np.abs(so_far) / np.sqrt(cuts * (units - cuts) / units))


def _permutation_p(sums: Array, cuts: Array, observed: float) -> float:
    """Return the p-value: the share of permutations with a step as large."""
    return _share_as_large(
        sums, lambda rows: np.asarray(_step_sizes(rows, cuts).max(axis=1) >= observed - 1e-9)
    )


def _share_as_large(values: Array, as_large: Callable[[Array], Array]) -> float:
    """Return the share of permutations of `values` for which `as_large` of their rows is True.

    Counting stops after 25 as large ones (Besag and Clifford 1991, Biometrika 78, 301-304).
    """
    rng = np.random.default_rng(20_251)
    hits = drawn = 0
    while drawn < MOST_PERMUTATIONS and hits < ENOUGH_AS_LARGE:
        many = min(BATCH_PERMUTATIONS, MOST_PERMUTATIONS - drawn)
        hits += int(
            as_large(rng.permuted(np.broadcast_to(values, (many, values.size)), axis=1)).sum()
        )
        drawn += many
    return (1 + hits) / (1 + drawn)
