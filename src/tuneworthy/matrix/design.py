"""How rows depend on each other: the one place that knows, for every mean and difference. Pure.

A caller hands over values by case id and gets bounds. Groups, near copies, groups that may be
larger elsewhere, folds that share training rows and retraining are inside.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.matrix.judge_correction import GradedRows
from tuneworthy.records.case import Case
from tuneworthy.records.further import Proportion
from tuneworthy.records.interval import Interval
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task
from tuneworthy.stats import bounds, many
from tuneworthy.stats.betting import ConfidenceSequence
from tuneworthy.stats.clusters import (
    Folds,
    Groups,
    cluster_numbers,
    cluster_width_factor,
    effective_groups,
    fold_width_factor,
)
from tuneworthy.stats.distributions import binomial_tail
from tuneworthy.stats.graded import EXACT_BELOW
from tuneworthy.stats.power import ratio_of_means
from tuneworthy.stats.trend import MIN_UNITS, ChangePoint, largest_change_point, neighbours_alike

Values = Mapping[Any, float]
Array = np.ndarray[Any, Any]
CHOSEN_ARM_LEVEL = bounds.CHOSEN_ARM_LEVEL
LEAST_UNITS_OF_A_TREND = MIN_UNITS
_LEAST_ABOVE_ZERO = 1e-6  # the lower end of an interval that an exact test puts above 0
TAIL = 0.025
"""One-sided error of a difference that stands alone: both bounds together hold at 95 %."""


class Mean(NamedTuple):
    """A mean with its two-sided interval."""

    mean: float
    low: float
    high: float

    @property
    def interval(self) -> Interval:
        """Return the mean and its ends as an `Interval` record, rounded to six digits."""
        return Interval.of(self)


class Difference(bounds.Bound):
    """A mean paired difference, its one-sided bounds, and counts of rows won, lost, different."""

    @property
    def interval(self) -> Interval:
        """Return mean, low and high as an `Interval` record, rounded to six digits."""
        return Interval.of(self[:3])


@dataclass(frozen=True)
class Fit:
    """How an arm learnt in the folds of a split: which fold each case was scored in.

    `retrained` is the least sd of its score between trainings that bounds allow for; 0: none.
    """

    fold: Mapping[str, int]
    split: Split
    retrained: float = 0.0

    def width(self, ids: Sequence[str]) -> tuple[float, Folds | None]:
        """Return (factor by which folds widen bounds on these cases, their folds); or (1, None)."""
        of = np.array([self.fold[i] for i in ids])
        factor = split_factor(self.split, of.tolist())
        return factor, Folds(of, self.retrained) if factor > 1 else None


@dataclass(frozen=True)
class Design:
    """How the rows of one set depend on each other.

    `group` names the group of a case; a case without one, or with None, is alone. A group that is
    not among the rows may have `largest` rows. `copies`: every group is one input and its near
    copies. `because` says why rows count as independent, where somebody decided so.
    """

    group: Mapping[Any, Hashable | None] = field(default_factory=dict)
    largest: float = 0.0
    copies: bool = False
    because: str = ""

    @classmethod
    def of(cls, task: Task, split: Split | None, group: Mapping[str, str] | None = None) -> Design:
        """Return the design of a study's scored rows; `group` are those of the split if None.

        Results of 0.1.0 have no split: `split` is None.
        """
        largest = float(task.data.largest_group or 0)
        if split is None:
            return cls(group or {}, largest)
        copies = split.only_copies and not largest
        return cls(split.groups if group is None else group, largest, copies)

    @classmethod
    def of_cases(cls, cases: Iterable[Case], named: bool = True) -> Design:
        """Return the design of rows without a split: grouped by named group, else by equal input.

        Where no case names a group, or they do not count (`named`), groups are copies of an input.
        """
        rows = {case.id: case for case in cases}
        known = {i: case.group for i, case in rows.items() if case.group and named}
        group = {i: known.get(i) or f"input {case.input.casefold()}" for i, case in rows.items()}
        return cls(group, copies=not known)

    @classmethod
    def independent(cls, because: str) -> Design:
        """Return the design of rows that are independent, for a stated reason."""
        return cls(because=because)

    def groups(self, ids: Sequence[Any]) -> Groups:
        """Return a `Groups` of `stats`: the group number of each case, largest group, copies."""
        codes, names = dict[Hashable, int](), ((self.group.get(i), i) for i in ids)
        of = [codes.setdefault(i if name is None else name, len(codes)) for name, i in names]
        return Groups(np.array(of, int), self.largest, self.copies)

    def numbers(self, ids: Sequence[Any]) -> Array:
        """Return an array: for each case the number of its group, from 0."""
        return cluster_numbers(self.groups(ids).of, len(ids))

    def worth(self, ids: Sequence[Any]) -> float:
        """Return how many independent rows these cases are worth, if rows of a group are alike."""
        return effective_groups(self.numbers(ids))

    def variance(self, values: Values) -> float:
        """Return the variance of the mean of values, clustered by group."""
        ids, rows = _ids_and_values(values)
        return float(many.covariance(rows[:, None], self.numbers(ids))[0, 0])

    def mean(
        self, values: Values, level: float = 0.05, fit: Fit | None = None, *, scatter: bool = True
    ) -> Mean:
        """Return the mean of values in [0, 1] with its interval, two-sided at `level`.

        `scatter` False leaves out how far the folds of a fit differ: for an explanation of widths.
        Raises ValueError for no values.
        """
        ids, rows = _ids_and_values(values)
        factor, folds = _factor_and_folds(ids, fit)
        folds = folds if scatter else None
        return Mean(*bounds.mean_interval(rows, level, self.groups(ids), factor, folds))

    def share(self, flags: Mapping[Any, bool], level: float = 0.05) -> Proportion:
        """Return the share of true flags with its interval, two-sided at `level`."""
        found = self.mean(flags, level).interval
        return Proportion(k=sum(flags.values()), n=len(flags), share=found.mean, low=found.low,
                          high=found.high)  # fmt: skip

    def difference(
        self,
        values: Values,
        tail: float = TAIL,
        fit: Fit | None = None,
        *,
        factor: float | None = None,
        part_of_sum: bool = False,
    ) -> Difference:
        """Return the mean of paired differences in [-1, 1], with bounds at `tail` on each side.

        `factor` replaces that of the folds, where another one is known. `part_of_sum`: no exact
        bounds of few differing rows, which add up to too wide ones. Raises ValueError for none.
        """
        ids, rows = _ids_and_values(values)
        own, folds = _factor_and_folds(ids, fit)
        wide = own if factor is None else factor
        few = 0 if part_of_sum else EXACT_BELOW
        return Difference(*bounds.paired(rows, tail, wide, self.groups(ids), folds, few))

    def ratio(self, values: Values, base: Values, fit: Fit | None = None) -> Mean | None:
        """Return mean(values) / mean(base) of the same cases at 95 %; None if it has no bounds."""
        ids, rows = _ids_and_values(values)
        divisor = np.array([base[i] for i in ids], float)
        factor, _ = _factor_and_folds(ids, fit)
        found = ratio_of_means(rows, divisor, 2 * TAIL, factor, self.groups(ids).of)
        return None if found is None else Mean(*found)

    def contrast(self, values: Values, tail: float = TAIL) -> Difference:
        """Return a difference whose lower end McNemar's exact test may lift above 0.

        Below ten differing cases the bound of two shares is too wide to distinguish 6 of 12 from
        none. The test rejects every difference up to 0 at the same level, so these values leave
        the interval (any test may be inverted at each value). Not used for grouped cases.
        """
        found = self.difference(values, tail)
        above = found.low <= 0 and self._test_shows(values, 1, tail)
        return found._replace(low=_LEAST_ABOVE_ZERO) if above else found

    def tested(self, values: Values, tail: float = TAIL) -> Difference:
        """Return a difference either end of which the exact test may move past 0: `contrast`."""
        found = self.contrast(values, tail)
        below = found.high >= 0 and self._test_shows(values, -1, tail)
        return found._replace(high=-_LEAST_ABOVE_ZERO) if below else found

    def _test_shows(self, values: Values, sign: int, tail: float) -> bool:
        wins, losses = (sum(s * value == 1 for value in values.values()) for s in (sign, -sign))
        plain = all(value in (-1, 0, 1) for value in values.values())
        grouped = self.numbers([*values]).max() + 1 < len(values)
        if grouped or not plain or not 0 < wins + losses < EXACT_BELOW:
            return False
        return binomial_tail(wins - 1, wins + losses, 0.5) <= tail

    def change_over_time(self, values: Values, times: Any) -> ChangePoint | None:
        """Return the largest break over time with its p-value; None if too few (`stats.trend`)."""
        ids, rows = _ids_and_values(values)
        return largest_change_point(rows, times, self.groups(ids).of)

    def neighbours_alike(
        self, values: Values, strata: Mapping[Any, Any] | None = None
    ) -> tuple[int, float | None]:
        """Return (number of groups, p-value for alike neighbours or None); see `stats.trend`."""
        numbers = self.numbers([*values])
        kinds = None if strata is None else [strata[i] for i in values]
        chance = neighbours_alike([*values.values()], kinds, numbers) if values else None
        return len(set(numbers.tolist())), chance

    def stream(self, level: float) -> ConfidenceSequence:
        """Return a confidence sequence: bounds of a mean that hold after every value added."""
        if not self.because:
            raise ValueError("values that may depend on each other have no such bounds")
        return ConfidenceSequence(level)

    def corrected(
        self, rows: GradedRows, ids: Sequence[Any], tail: float, lowest: float, fit: Fit | None
    ) -> Mean:
        """Return a judge's mean corrected by human grades, with bounds at `tail` on each side.

        `lowest` is the smallest possible value: 0 for scores, -1 for differences.
        """
        numbers, (factor, folds) = self.numbers(ids), _factor_and_folds(ids, fit)

        def wider(values: Array) -> float:
            wide = cluster_width_factor(values, numbers, tail)
            own = factor if folds is None else fold_width_factor(values, folds, factor, wide)
            return own * wide

        return Mean(*rows.bound(tail, lowest, wider)[:3])

    def rate(self, k: int, n: int, level: float = 0.05) -> Proportion:
        """Return the share k / n with its exact interval; ValueError unless rows are independent.

        A count does not say which rows were counted, so groups can't widen it: use `share`.
        """
        if not self.because:
            raise ValueError("a count of rows that may depend on each other: use `share`")
        low, high = (round(end, 6) for end in bounds.rate(k, n, level))
        return Proportion(k=k, n=n, share=round(k / n, 6), low=low, high=high)


def split_factor(split: Split, folds: Iterable[int] | None = None) -> float:
    """Return by what factor rows shared by these folds (None: all) widen bounds; 1 or more.

    Training and dev rows of a fold count together (see stats.bounds.width_factor).
    """
    used = split.parts if folds is None else [split.parts[at] for at in sorted(set(folds))]
    parts = [part for part in used if part.train]
    if len(split.learning) < 2 or not parts:
        return 1.0
    test = fmean(len(part.test) for part in parts)
    train = fmean(len(part.train) + len(part.dev) for part in parts)
    return bounds.width_factor(len(parts), test, train)


def _ids_and_values(values: Values) -> tuple[list[Any], Array]:
    return list(values), np.array([*values.values()], float)


def _factor_and_folds(ids: Sequence[Any], fit: Fit | None) -> tuple[float, Folds | None]:
    return (1.0, None) if fit is None else fit.width(ids)
