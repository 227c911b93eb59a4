"""Width factors for rows that are not independent: groups and folds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats.distributions import normal_quantile, student_quantile

Array = np.ndarray[Any, Any]

_MIN_EFFECTIVE_GROUPS = 1.5
"""With fewer effective groups the rows say nothing about other groups."""


RETRAINING_SD = 0.02
"""Minimum sd of an arm's score between trainings, used if the folds show less: in half of the
studies where it is 3 points, five folds show none. Without it up to 7.3 % of the bounds broke (3
points, 900 rows, two arms), with it 4.3 % (simulated)."""


_REFIT_SLOPE = 2.5  # how much the share of a row's variance between partitions adds to the factor
_LEAST_REFITTED = 1.25  # the smallest width factor of an arm that was fitted on several partitions


class Folds(NamedTuple):
    """The fold of each row of a cross-fitted arm, and a floor of its score's sd between trainings.

    See RETRAINING_SD for that sd.
    """

    of: Any
    retrained: float = 0.0


class Groups(NamedTuple):
    """The group of each row, and how many rows a group that is not among these may have.

    `largest` counts only if it exceeds every group of these rows. `copies`: every group is one
    input and its near copies, in rows that are independent otherwise.
    """

    of: Any
    largest: float = 0.0
    copies: bool = False


def cluster_numbers(groups: Any, n: int) -> Array:
    """Return the group number of each row, from 0; a row with group None is a group of its own.

    Raises ValueError if there are not as many groups as rows.
    """
    labels = groups if isinstance(groups, np.ndarray) else list(groups)
    if len(labels) != n:
        raise ValueError(f"{len(labels)} groups for {n} rows")
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iuU":  # no label is None
        _, first, numbers = np.unique(labels, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[numbers]  # in the order of their first rows
    numbers_by_label: dict[Any, int] = {}
    keys = [(label, -1) if label is not None else (None, i) for i, label in enumerate(labels)]
    return np.array([numbers_by_label.setdefault(key, len(numbers_by_label)) for key in keys])


def effective_groups(numbers: Array) -> float:
    """Return how many equal groups unequal ones are worth: (sum of sizes)^2 / sum of squares."""
    sizes = np.bincount(numbers).astype(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def cluster_width_factor(values: Array, numbers: Array, level: float) -> float:
    """Return the factor by which groups widen a bound of the mean: at least 1, may be infinite.

    The ratio of the CR2 standard error to that of independent rows, at least 1, times t / z at the
    one-sided `level`, with the degrees of freedom of the effective number of groups less one.
    Infinite below 1.5 effective groups. Groups of one row each leave the width unchanged. Source:
    Bell and McCaffrey (2002); Imbens and Kolesar (2016); Pustejovsky and Tipton (2018).
    """
    if int(numbers.max()) + 1 == values.size:
        return 1.0
    groups = effective_groups(numbers)
    if groups < _MIN_EFFECTIVE_GROUPS:
        return float("inf")
    off = values - values.mean()
    naive = float(off @ off) / (values.size - 1) / values.size
    sums = np.bincount(numbers, weights=off)
    few = float(student_quantile(1 - level, groups - 1) / normal_quantile(1 - level))
    if naive <= 0:
        return few
    share = np.bincount(numbers) / values.size
    own = share**2 / (1 - share)
    unbiased = (1 / groups) / (float((own * (1 - 2 * share)).sum()) + float(own.sum()) / groups)
    clustered = unbiased * float((sums**2 / (1 - share)).sum()) / values.size**2
    return few * max(1.0, float(np.sqrt(clustered / naive)))


def refitted_factor(within: float, values: Array, factor: float) -> float:
    """Return the width factor of an arm's lower bound if it was fitted on several partitions.

    `within` is the mean variance of a row's score over partitions, `values` are the differences to
    an arm that does not learn, `factor` is the fallback. The standard deviation of the cross-fitted
    mean around the artefact of all rows is 1.01 to 1.27 naive standard errors for learners whose
    share of such variance is .14 to .29 (simulated). Where it is above .5 the fallback remains.
    """
    variance = float(values.var())
    if variance == 0:
        return factor
    return min(factor, max(_LEAST_REFITTED, float(np.sqrt(1 + _REFIT_SLOPE * within / variance))))


def fold_width_factor(values: Array, folds: Folds, factor: float, wide: float = 1.0) -> float:
    """Return the width factor of a cross-fitted pair whose folds may disagree beyond chance.

    The artefact that will be built is one more fit, so the scatter of the K fits beyond row noise
    counts (1 + 1/K) times: sqrt(factor^2 + excess * (1 + 1/K) / SE^2), excess = variance of the
    fold means - K SE^2, at least `retrained`^2. `wide` is the factor by which groups already widen
    the SE. The result is `factor` for equal folds if `retrained` is 0, for values without spread,
    and for a single fold.
    """
    numbers = cluster_numbers(folds.of, values.size)
    sizes = np.bincount(numbers)
    count = sizes.size
    spread = float(values.var()) * wide**2
    if count < 2 or spread == 0 or np.isinf(wide):
        return factor
    means = np.bincount(numbers, weights=values) / sizes
    expected = spread * float((1 / sizes).mean())
    excess = max(folds.retrained**2, float(means.var(ddof=1)) - expected)
    return float(np.sqrt(factor**2 + excess * (1 + 1 / count) * values.size / spread))
