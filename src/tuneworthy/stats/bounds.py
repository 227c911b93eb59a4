"""Confidence bounds of a score or a paired difference.

Rates: Clopper-Pearson. Paired 0/1: exact below ten differing pairs, else a score bound. Graded: the
wider of Student's t and a BCa bootstrap, or, if few full-size differences were observed, of
Student's t and a bound that allows for one more. Groups: the same, widened, and allowing for an
unobserved group. Near copies: the wider of the bounds of all rows and of the distinct inputs. Works
on arrays only: no records, files or models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats import unseen
from tuneworthy.stats.clusters import (
    Folds,
    Groups,
    cluster_numbers,
    cluster_width_factor,
    fold_width_factor,
)
from tuneworthy.stats.graded import (
    EXACT_BELOW,
    MIN_BOOTSTRAP_TAIL,
    bca_bounds,
    clopper_pearson,
    discordant_bounds,
    student_t_bounds,
)
from tuneworthy.stats.look_cost import look_cost

Array = np.ndarray[Any, Any]


_ALPHA_SHARE = 0.7
"""The share of alpha that a study spends. If all of it were spent, up to 5.4 % of the score bounds
of two arms broke in simulation; the promise is 5 %, with a reserve."""


CHOSEN_ARM_LEVEL = 0.04
"""Level of the interval of an arm's score if the same rows chose the arm, which favours lucky arms.
At .05 the interval of the chosen arm covered .937 in the worst of 300 cells."""


class Bound(NamedTuple):
    """A mean paired difference with one-sided bounds, each at the requested level."""

    mean: float
    low: float
    high: float
    wins: int
    losses: int
    differ: int
    n: int


def rate(k: int, n: int, level: float = 0.05) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) two-sided interval of a share, k of n.

    Raises ValueError for n = 0 or k outside 0..n: a rate of no rows is not 0.
    """
    if not 0 <= k <= n or n == 0:
        raise ValueError(f"no rate of {k} in {n}")
    low, high = clopper_pearson(k, n, level / 2)
    return float(low), float(high)


def mean_interval(
    scores: Any,
    level: float = 0.05,
    groups: Any = None,
    factor: float = 1.0,
    folds: Folds | None = None,
) -> tuple[float, float, float]:
    """Return mean, low and high of scores in [0, 1], two-sided at `level`.

    0/1 scores of independent rows get Clopper-Pearson, others the bounds of `paired` on [0, 1].
    Groups of rows widen the interval. So do `factor` and `folds` of a cross-fitted arm that learns,
    as in `paired`: the score is that of the artefact that would be built, one more fit. Raises
    ValueError for no scores.
    """
    values = _checked_values(scores, 0.0)

    def exact(rows: Array) -> tuple[float, float] | None:
        whole = np.isin(rows, (0.0, 1.0)).all()
        return rate(int(rows.sum()), rows.size, level) if whole else None

    shown = _BoundedRows(values, level / 2, 0.0, exact, *_group_numbers(values.size, groups))
    return float(values.mean()), *shown.ends(factor, folds)


def paired(
    diffs: Any,
    level: float,
    factor: float = 1.0,
    groups: Any = None,
    folds: Folds | None = None,
    few: int = EXACT_BELOW,
) -> Bound:
    """Return the mean of paired differences in [-1, 1] with one-sided bounds, each at `level`.

    `factor` widens pairs that involve a fitted arm (see `width_factor`). `folds` names the fold of
    each row of such a pair: if the fold means scatter beyond row noise (an unstable arm), the
    bounds widen further, as they do by the assumed sd of a retraining. `groups` names rows that
    belong together (`Groups` if a larger group may occur, or if they are near copies). 0/1 scores
    that differ on fewer than `few` rows get exact bounds; with `few` 0 the score bound is used at
    any count, for sums of parts, where bounds that are each too wide add up. Differences below 1e-9
    are ties.
    Raises ValueError for no rows, or values that are not finite or outside [-1, 1].
    """
    values = _checked_values(diffs, -1.0)
    wins, losses = int((values > 0).sum()), int((values < 0).sum())

    def exact(rows: Array) -> tuple[float, float] | None:
        if not np.isin(rows, (-1.0, 0.0, 1.0)).all():
            return None
        ups, downs = int((rows > 0).sum()), int((rows < 0).sum())
        below, above = discordant_bounds(ups, downs, rows.size, level, few)
        return float(below), float(above)

    rows = _BoundedRows(values, level, -1.0, exact, *_group_numbers(values.size, groups))
    low, high = rows.ends(factor, folds)
    return Bound(float(values.mean()), low, high, wins, losses, wins + losses, values.size)


def width_factor(folds_run: int, n_test: float, n_train: float) -> float:
    """Return the width factor of a fitted pair's interval, whose folds share training rows.

    `n_test`, `n_train`: mean rows per fold. 1.5 at 5 of 5 folds, 1.22 at 2 of 5; one split is 1.
    """
    return float(np.sqrt(1 + folds_run * n_test / n_train)) if folds_run > 1 else 1.0


def level(alpha: float, looks: int = 1, arms: int = 2) -> float:
    """Return the one-sided error level of each bound of `arms` arms, by Bonferroni.

    _ALPHA_SHARE * alpha / (look_cost(looks) * (arms - 1)); `many.pair_levels` is less conservative
    if all rows are known.
    """
    if arms < 1:
        raise ValueError(f"no level for {arms} arms")
    return _ALPHA_SHARE * alpha / (look_cost(looks) * max(1, arms - 1))


def _checked_values(values: Any, lowest: float) -> Array:
    array = np.asarray(values, float).ravel()
    if not array.size:
        raise ValueError("no rows: the mean of nothing is not a number")
    array = np.round(array, 9)
    if not (np.isfinite(array).all() and (array >= lowest).all() and (array <= 1).all()):
        raise ValueError(f"values must be finite and lie in [{lowest:g}, 1]")
    return np.asarray(array)


def _group_numbers(n: int, groups: Any) -> tuple[Array | None, float, bool]:
    """Return (group of each row or None, rows of the largest group, whether groups are copies)."""
    named = groups if isinstance(groups, Groups) else Groups(groups)
    numbers = None if named.of is None else cluster_numbers(named.of, n)
    alone = numbers is None or (numbers.max() + 1 == n and named.largest <= 1)
    return (None, 0.0, False) if alone else (numbers, named.largest, named.copies)


class _BoundedRows(NamedTuple):
    """Rows whose mean is bounded, with error `tail` on each side; values from `lowest` to 1."""

    values: Array
    tail: float
    lowest: float
    exact: Callable[[Array], tuple[float, float] | None]  # returns None for graded rows
    units: Array | None
    largest: float
    copies: bool

    def ends(self, factor: float, folds: Folds | None) -> tuple[float, float]:
        """Return (low, high): the bounds of the mean, widened by `factor`, groups and folds."""
        mean = float(self.values.mean())
        wide = 1.0
        if self.units is not None:
            wide = cluster_width_factor(self.values, self.units, self.tail)
        plain = self.exact(self.values) or self._graded_bounds()
        low, high = _widened_bounds(mean, plain, wide, self.lowest)
        if self.units is not None:
            sizes = np.bincount(self.units).astype(float)
            if self.copies:
                other = self._bounds_counted_once(self.units, sizes)
            else:
                other = self._for_unseen([np.bincount(self.units, s) for s in self._sides()], sizes)
            low, high = min(low, other[0]), max(high, other[1])
        if folds is not None:
            factor = fold_width_factor(self.values, folds, factor, wide)
        return _widened_bounds(mean, (low, high), factor, self.lowest)

    def _bounds_counted_once(self, units: Array, sizes: Array) -> tuple[float, float]:
        """Return the (low, high) bounds if each input counts once, with the mean of its copies."""
        means = np.round(np.bincount(units, self.values) / sizes, 9)
        rows = self._replace(values=means, units=None, largest=0.0, copies=False)
        return rows.ends(1.0, None)

    def _graded_bounds(self) -> tuple[float, float]:
        """Return the (low, high) bounds of independent graded rows.

        A bootstrap can't draw a value that was not observed, and noise hides that it is missing:
        with losses of 1 % inside small noise, 22 % of the BCa bounds of 75 rows broke in
        simulation. So a side with fewer than ten full-size differences gets a bound that allows for
        one more.
        """
        low, high = student_t_bounds(self.values, self.tail)
        unseen_low, unseen_high = self._for_unseen(self._sides(), np.ones(self.values.size))
        low, high = min(low, unseen_low), max(high, unseen_high)
        if unseen_low <= 1 and unseen_high >= -1:  # both sides allow for an unobserved unit
            return low, high
        drawn = bca_bounds(self.values, self.tail)
        return (
            min(low, drawn[0]) if unseen_low > 1 else low,
            max(high, drawn[1]) if unseen_high < -1 else high,
        )

    def _sides(self) -> list[Array]:
        """Return [values reflected, values]: an upper bound of the first gives the lower bound."""
        return [1 + self.lowest - self.values, self.values]

    def _for_unseen(self, sums: list[Array], sizes: Array) -> tuple[float, float]:
        """Return (low, high) that allow for an unobserved unit; 2 or -2 where none need be allowed.

        A `tail` below MIN_BOOTSTRAP_TAIL, too small for a bootstrap, always gets these bounds.
        """
        tops = [
            -2.0
            if unseen.count_full_size(side, sizes, self.largest) >= unseen.ENOUGH_FULL_SIZE
            and self.tail >= MIN_BOOTSTRAP_TAIL
            else unseen.gaffke_bound(side, sizes, self.tail, self.largest)
            for side in sums
        ]
        return 2.0 if tops[0] == -2.0 else 1 + self.lowest - tops[0], tops[1]


def _widened_bounds(
    mean: float, bounds: tuple[float, float], wide: float, lowest: float
) -> tuple[float, float]:
    if np.isinf(wide):
        return lowest, 1.0
    low, high = bounds if wide == 1 else (mean + wide * (bound - mean) for bound in bounds)
    return max(lowest, min(low, mean)), min(1.0, max(high, mean))
