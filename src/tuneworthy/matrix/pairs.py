"""Compute paired differences of the competing arms with simultaneous bounds. Pure.

Each arm b has one level for its bounds against all its rivals s: whichever arm is named, the best
arm's bound against it fails in at most the promised share of studies. The error is split over the
arms that the schedule could have run too, and over the looks taken at a part of the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tuneworthy.matrix.columns import (
    Column,
    ladder_position,
    rank_columns,
    repeats_of,
    row_order,
    shared_cases,
)
from tuneworthy.matrix.design import Difference, Fit
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.judge_correction import GradedRows
from tuneworthy.records.evidence import Pair
from tuneworthy.records.interval import ALPHA
from tuneworthy.stats import bounds, many
from tuneworthy.stats.clusters import refitted_factor

_LARGEST_MARGIN = 0.2  # the largest margin that a verdict is computed for (flips.MARGIN_GRID)
_ArmPair = tuple[str, str]


@dataclass(frozen=True)
class _PairedRows:
    """The score differences `arm` - `versus` on the cases that both answered.

    `graded` has the human grades if a judge scored, else None.
    """

    inputs: ComparisonInputs
    arm: Column
    versus: Column
    diffs: dict[str, float]
    graded: GradedRows | None

    @property
    def ids(self) -> list[str]:
        """Return the ids of the cases that both arms answered."""
        return list(self.diffs)

    @cached_property
    def fit(self) -> Fit | None:
        """Return the fit that widens the difference, None if no arm was fitted in folds."""
        return self.arm.fit_beside(self.versus, self.inputs.split)

    @cached_property
    def factor(self) -> float:
        """Return by what factor the folds of a fitted arm widen the bounds; 1 if none does."""
        return 1.0 if self.fit is None else self.fit.width(self.ids)[0]

    def bound(self, level: float) -> Difference:
        """Return the mean difference with both bounds at this level."""
        bound = self._bound_of_values(level)
        if self.graded is None or self.graded.known is not None:
            return bound
        corrected = self.inputs.design.corrected(self.graded, self.ids, level, -1.0, self.fit)
        return bound._replace(mean=corrected.mean, low=corrected.low, high=corrected.high)

    def _bound_of_values(self, level: float) -> Difference:
        inputs, fit = self.inputs, self.fit
        bound = inputs.design.difference(self.diffs, level)
        if self.factor > 1:
            base = min(map(inputs.error_multiple, (self.arm, self.versus))) * inputs.tail
            wide = inputs.design.difference(self.diffs, base, fit)
            ends = [wide.low, wide.high]
            if self.refitted is not None:
                narrow = inputs.design.difference(self.diffs, base, fit, factor=self.refitted)
                side = 0 if self.arm.learned else 1
                ends[side] = (narrow.low, narrow.high)[side]
            bound = bound._replace(low=min(bound.low, ends[0]), high=max(bound.high, ends[1]))
        return bound

    @property
    def refitted(self) -> float | None:
        """Return the width factor of the fitted arm's own lower bound; None without refits.

        The other bound keeps the whole factor: the artefact of all rows learns from more than each
        fold did, so it may be better than measured.
        """
        within = self.inputs.refits.get((self.arm if self.arm.learned else self.versus).spec.name)
        if within is None or (self.arm.learned and self.versus.learned):
            return None
        return refitted_factor(within, np.array([*self.diffs.values()]), self.factor)


def simplest_equals(
    inputs: ComparisonInputs,
    places: Collection[Sequence[Column]],
    references: Mapping[str, Column],
    broken: Collection[str] = (),
) -> tuple[dict[str, Sequence[Column]], list[Pair]]:
    """Return ({finalist: arms that compete for its place, itself first}, pairs with a finalist).

    `places` has the arms of each place on the ladder, the best mean first. The simplest arm stands
    for the place that no other one there is shown to beat, and that is shown to beat whatever the
    best one is shown to beat among the places below and the references. Arms of `broken`, which
    break a limit, stand for a place only where each of its arms does.
    """
    rows = sorted(places, key=lambda columns: ladder_position(columns[0].spec))
    arms = {column.spec.name: column for rivals in places for column in rivals}
    table, found = PairTable(inputs, arms, references), dict[str, Sequence[Column]]()
    for rivals in rows:
        able = [one for one in rivals if one.spec.name not in broken] or rivals
        first = table.simplest_equal(able, [*found, *references])
        found[first.spec.name] = [first, *(one for one in rivals if one is not first)]
    return found, table.pairs(found)


class PairTable:
    """The bounded difference of every two arms, computed when first asked for, then kept."""

    def __init__(
        self,
        inputs: ComparisonInputs,
        arms: Mapping[str, Column],
        references: Mapping[str, Column],
    ) -> None:
        self._inputs, self._arms, self._references = inputs, arms, references
        self._columns = {**references, **arms}
        self._levels = _PairLevels(inputs, arms, references, None)
        self._rows: dict[_ArmPair, _PairedRows] = {}
        self._pairs: dict[_ArmPair, Pair | None] = {}

    def pair(self, key: _ArmPair) -> Pair | None:
        """Return the difference of two arms, its bounds simultaneous; None without common case."""
        if key not in self._pairs:
            rows = _paired_rows(self._inputs, self._columns[key[0]], self._columns[key[1]])
            self._rows[key] = rows
            self._pairs[key] = _bounded_pair(rows, self._levels.of(key), key) if rows.ids else None
        return self._pairs[key]

    def simplest_equal(self, rivals: Sequence[Column], below: Sequence[str]) -> Column:
        """Return the simplest of `rivals` that none is shown to beat; see `simplest_equals`."""
        best = rivals[0]
        if all(one.spec.simplicity >= best.spec.simplicity or one.stopped for one in rivals):
            return best
        wanted = [name for name in below if self._beats(best.spec.name, name)]
        simpler = [one for one in rivals if one.spec.simplicity < best.spec.simplicity]
        for one in sorted(simpler, key=lambda column: column.spec.simplicity):
            name = one.spec.name
            others = [rival.spec.name for rival in rivals if rival is not one]
            if one.stopped or any(self._beats(other, name) for other in others):
                continue
            if all(self._beats(name, other) for other in wanted):
                return one
        return best

    def _beats(self, arm: str, versus: str) -> bool:
        pair = self.pair((arm, versus))
        return pair is not None and pair.low > 0

    def pairs(self, finalists: Iterable[str]) -> list[Pair]:
        """Return pairs (both orders) that include a finalist, and of each arm with each reference.

        Arms that share no case are no pair: nothing is known. A pair's `high` has the level of its
        `arm`, its `low` that of `versus`, without the rivals that an arm beats by far.
        """
        final = set(finalists)
        wanted = [(a, b) for a in self._arms for b in self._arms
                  if a != b and (a in final or b in final)]  # fmt: skip
        wanted += [(a, r) for a in self._arms for r in self._references]
        known = {key: pair for key in wanted if (pair := self.pair(key)) is not None}
        far = {key for key, pair in known.items() if pair.low > (pair.mean + _LARGEST_MARGIN) / 2}
        far |= {
            (b, a)
            for (a, b), pair in known.items()
            if -pair.high > (_LARGEST_MARGIN - pair.mean) / 2
        }
        first, relaxed = self._levels, self._levels
        if far:
            relaxed = _PairLevels(self._inputs, self._arms, self._references, far)
        return [
            pair
            if key in far or key[::-1] in far or relaxed.of(key) == first.of(key)
            else _bounded_pair(self._rows[key], relaxed.of(key), key)
            for key, pair in known.items()
        ]


def pair_of(inputs: ComparisonInputs, arm: Column, versus: Column, level: float) -> Pair:
    """Return the paired difference of two arms, with both bounds at this level."""
    names = (arm.spec.name, versus.spec.name)
    return _bounded_pair(_paired_rows(inputs, arm, versus), (level, level), names)


class _PairLevels:
    """The error level of each arm's bounds; `far` holds (a, b) if a beats b by far.

    By far: the mean exceeds _LARGEST_MARGIN by more than twice the distance to its bound, so b is
    named at no margin. Leaving out every rival that is merely shown to be beaten keeps the lucky
    ones: 6 % of the bounds failed in simulation. Each reference forms a family of its own, with all
    arms against it.
    """

    def __init__(
        self,
        inputs: ComparisonInputs,
        arms: Mapping[str, Column],
        references: Mapping[str, Column],
        far: set[_ArmPair] | None,
    ) -> None:
        rivals = max(len(arms), inputs.possible_arms, 2) - 1
        self._share = {name: inputs.error_multiple(column, rivals) for name, column in arms.items()}
        shares = set(self._share.values())
        self._levels = {
            share: _levels_by_arm(inputs, arms, references, far, share) for share in shares
        }

    def of(self, key: _ArmPair) -> tuple[float, float]:
        """Return the levels of both arms of a pair, for bounds on their difference."""
        share = min(self._share[name] for name in key if name in self._share)
        levels = self._levels[share]
        return levels[key[0]], levels[key[1]]


def _levels_by_arm(
    inputs: ComparisonInputs,
    arms: Mapping[str, Column],
    references: Mapping[str, Column],
    far: set[_ArmPair] | None,
    share: float,
) -> dict[str, float]:
    # Sorted by content, so that no level depends on names or positions.
    arm_columns = rank_columns(list(arms.values()))
    levels = _family_levels(inputs, arm_columns, far, share)
    for name, reference in references.items():
        levels[name] = _family_levels(inputs, [*arm_columns, reference], far, share)[name]
    return levels


def _family_levels(
    inputs: ComparisonInputs, columns: Sequence[Column], far: set[_ArmPair] | None, share: float
) -> dict[str, float]:
    """Return {arm: error level of its bounds against the others} from their shared rows (max-t).

    Bonferroni is used where max-t does not apply: no shared rows, or a judge with human corrections
    (its own scores do not show the variance of the corrected ones). `share` is the part of the
    error that may be spent.
    """
    names = [column.spec.name for column in columns]
    ids = shared_cases(columns)
    compared = sum(column.spec.role == "candidate" for column in columns)
    if inputs.grades is not None or len(ids) < 2:
        most = max(2, len(columns), len(columns) + inputs.possible_arms - compared)
        level = share * bounds.level(ALPHA, inputs.looks, most)
        return dict.fromkeys(names, level)
    scores = np.stack([column.values(ids) for column in columns], 1)
    spread = many.covariance(scores, inputs.design.numbers(ids))
    rivals = None
    if far is not None:
        rivals = np.array([[(a, b) not in far for b in names] for a in names])
    tail = inputs.tail_of_measured(share * inputs.tail, compared, len(columns) - 1)
    levels = many.pair_levels(spread, tail, rivals)
    return dict(zip(names, levels.tolist(), strict=True))


def _paired_rows(inputs: ComparisonInputs, arm: Column, versus: Column) -> _PairedRows:
    ids = row_order(set(arm.cells) & set(versus.cells), arm.fold, inputs.task.seed)
    diffs, graded = arm.values(ids) - versus.values(ids), None
    own, other = inputs.graded_rows(arm, ids), inputs.graded_rows(versus, ids)
    if own is not None and other is not None:
        graded = own.minus(other)
        diffs = graded.judge if graded.known is None else graded.known
    return _PairedRows(inputs, arm, versus, dict(zip(ids, diffs.tolist(), strict=True)), graded)


def _bounded_pair(rows: _PairedRows, levels: tuple[float, float], key: _ArmPair) -> Pair:
    upper, lower = levels
    above = rows.bound(upper)
    below = above if lower == upper else rows.bound(lower)
    factor = rows.factor
    if factor > 1 and rows.refitted is not None:
        factor = rows.refitted
    return Pair(
        arm=key[0],
        versus=key[1],
        n=len(rows.diffs),
        mean=round(above.mean, 6),
        low=round(below.low, 6),
        high=round(above.high, 6),
        level=upper,
        low_level=lower,
        factor=round(factor, 6),
        wins=above.wins,
        losses=above.losses,
        differ=above.differ,
        apart=_count_different_answers(rows),
        repeats=repeats_of(rows.inputs.design, rows.diffs, (rows.arm.draws, rows.versus.draws)),
    )


def _count_different_answers(rows: _PairedRows) -> int:
    """Return the number of cases on which the stripped answers differ."""
    own, other = rows.arm.cells, rows.versus.cells
    return sum(own[i][0].text.strip() != other[i][0].text.strip() for i in rows.ids)
