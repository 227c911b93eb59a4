"""Paired differences of the arms that compete, with bounds that hold for all of them at once. Pure.

Each arm b has one level for its bounds against all its rivals s: whichever is named in the end, the
best arm's bound against it breaks in at most the share of studies that is promised. Arms that the
stage rule could have run are paid for as rivals, and a look between two folds as a second look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuneworthy.compare.columns import Column, in_order, shared
from tuneworthy.compare.judge_correction import graded_pair, width
from tuneworthy.compare.turn_order import in_turn
from tuneworthy.core.evidence import Pair
from tuneworthy.core.split import Split
from tuneworthy.core.task import Task
from tuneworthy.stats import bounds, many
from tuneworthy.stats.clusters import Folds, Groups, cluster_numbers
from tuneworthy.stats.race import sequential

ALPHA = 0.05
LOOK_SHARE = (
    0.2  # of an arm's error is spent at the look after its first folds, the rest at the end
)
LARGEST = 0.2  # the largest margin that a verdict is given for (verdict.flips.MARGINS)
Array = np.ndarray[Any, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class Shape:
    """What the comparison needs besides the runs: the task, its folds, groups and looks.

    `grades` are those of humans where the metric is a judge (see `judge_correction`), else None.
    `possible` counts the arms that the stage rule may run, 0 where none waits for it; `looked` has
    the folds after which an arm was looked at, by name.
    """

    task: Task
    study: str
    split: Split
    groups: Mapping[str, str]
    looks: int = 1
    blocks: tuple[str, ...] = ()
    pool: int = 0
    limited: bool = False
    grades: Mapping[tuple[str, str], float] | None = None
    possible: int = 0
    looked: Mapping[str, int] = field(default_factory=dict)

    def share(self, one: Column) -> float:
        """Return the share of its error that an arm's bounds have, by how many folds it answered.

        Two looks at one arm share its error (Bonferroni); most is left for the last one.
        """
        first = self.looked.get(one.spec.name, 0)
        if not first:
            return 1.0
        return LOOK_SHARE if len(set(one.fold.values())) <= first else 1 - LOOK_SHARE

    def paid(self, tail: float, compared: int, rivals: int) -> float:
        """Return what is left of an error where arms that were not run are rivals as well.

        `compared` candidates were measured; an arm has `rivals` among the columns of its family.
        The error is split evenly over all that may be rivals, measured or not.
        """
        unseen = max(0, self.possible - compared)
        return tail * rivals / (rivals + unseen) if rivals else tail

    @property
    def tail(self) -> float:
        """Return the one-sided error of all bounds of one arm together, at this look."""
        return bounds.level(ALPHA, self.looks)

    @property
    def raced(self) -> bool:
        """Return whether arms may be stopped early: bounds then hold at every look at the rows.

        Not where rows come in groups: bets on single rows would not allow for unseen groups.
        """
        return self.task.budget.stop_early and not self.split.clustered

    def grouped(self, ids: Sequence[str]) -> Groups:
        """Return the group of each case, and the rows of the largest group there may be."""
        largest = float(self.task.data.largest_group or 0)
        return Groups(np.array([self.groups.get(i, i) for i in ids]), largest)

    def factor(self, folds: Array) -> float:
        """Return the width factor of the folds these cases came from; 1 for one split."""
        return self.split.width_factor(int(fold) for fold in folds)


@dataclass(frozen=True)
class _Rows:
    """Two arms on the cases that both answered: `arm` minus `versus`, and how rows hang together.

    `fitted` holds what widens a bound where an arm was fitted in folds, nothing where none was.
    """

    shape: Shape
    arm: Column
    versus: Column
    ids: list[str]
    diffs: Array
    groups: Groups
    fitted: dict[str, Any]

    def bound(self, level: float) -> bounds.Bound:
        """Return the mean difference with both of its bounds at this level."""
        if self.shape.raced:
            n_plan = len(self.shape.split.scored)
            bound = sequential(self.diffs, level, n_plan, groups=self.groups.of, **self.fitted)
        else:
            bound = bounds.paired(self.diffs, level, groups=self.groups)
            if self.fitted:
                base = min(map(self.shape.share, (self.arm, self.versus))) * self.shape.tail
                wide = bounds.paired(self.diffs, base, groups=self.groups, **self.fitted)
                low, high = min(bound.low, wide.low), max(bound.high, wide.high)
                bound = bound._replace(low=low, high=high)
        if self.shape.grades is not None:
            ties = {"factor": 1.0, "folds": None, **self.fitted}
            wide_by = width(self.diffs, level, groups=self.groups.of, **ties)
            both = [(self.arm.cells[i][0], self.versus.cells[i][0]) for i in self.ids]
            bound = graded_pair(bound, self.diffs, both, self.shape.grades, level, wide_by)
        return bound


def pairs(
    shape: Shape,
    arms: Mapping[str, Column],
    finalists: Iterable[str],
    references: Mapping[str, Column],
) -> list[Pair]:
    """Return every ordered pair with a finalist in it, and each arm against each reference.

    A pair's `high` has the level of its `arm`, its `low` that of `versus`. The levels are those of
    all arms together; then once more without the rivals that an arm beats by far.
    """
    final = list(finalists)
    wanted = [(a, b) for a in arms for b in arms if a != b and (a in final or b in final)]
    wanted += [(a, r) for a in arms for r in references]
    columns = {**references, **arms}
    rows = {key: _rows(shape, columns[key[0]], columns[key[1]]) for key in wanted}
    first = _Levels(shape, arms, references, None)
    found = {key: _pair(each, first.of(key), key) for key, each in rows.items()}
    far = {key for key, pair in found.items() if pair.low > (pair.mean + LARGEST) / 2}
    far |= {(b, a) for (a, b), pair in found.items() if -pair.high > (LARGEST - pair.mean) / 2}
    again = _Levels(shape, arms, references, far) if far else first
    return [
        pair
        if key in far or key[::-1] in far or again.of(key) == first.of(key)
        else _pair(rows[key], again.of(key), key)
        for key, pair in found.items()
    ]


def pair_of(shape: Shape, arm: Column, versus: Column, level: float) -> Pair:
    """Return one pair with both of its bounds at this level."""
    names = (arm.spec.name, versus.spec.name)
    return _pair(_rows(shape, arm, versus), (level, level), names)


class _Levels:
    """The level of each arm's bounds; `far` holds (a, b) where a beats b by far.

    That is, by the largest margin and twice what its bound allows for: then b is not named at any
    margin, whatever chance did to it. Where any rival shown to be beaten was left out, those left
    were the lucky ones, and 6 % of the bounds broke by simulation. A reference has the level of a
    family of its own: all arms against it.
    """

    def __init__(
        self,
        shape: Shape,
        arms: Mapping[str, Column],
        references: Mapping[str, Column],
        far: set[Key] | None,
    ) -> None:
        self._share = {name: shape.share(one) for name, one in arms.items()}
        shares = {1.0, *self._share.values()}
        self._levels = {share: _levels(shape, arms, references, far, share) for share in shares}

    def of(self, key: Key) -> tuple[float, float]:
        """Return the levels of both arms of a pair, for bounds on their difference."""
        share = min(self._share.get(name, 1.0) for name in key)
        levels = self._levels[share]
        return levels[key[0]], levels[key[1]]


def _levels(
    shape: Shape,
    arms: Mapping[str, Column],
    references: Mapping[str, Column],
    far: set[Key] | None,
    share: float,
) -> dict[str, float]:
    some = in_order(list(arms.values()))  # by content: names and places change no level
    levels = _family(shape, some, far, share)
    for name, one in references.items():
        levels[name] = _family(shape, [*some, one], far, share)[name]
    return levels


def _family(
    shape: Shape, columns: Sequence[Column], far: set[Key] | None, share: float
) -> dict[str, float]:
    """Return the level of each of these arms against all others, from the rows they share.

    Bonferroni's where that is all that holds: where bounds hold at every look, where humans correct
    a judge whose own scores don't say how the corrected ones scatter, or where no rows are shared.
    `share` is the part of the error that counts.
    """
    names = [one.spec.name for one in columns]
    ids = shared(columns)
    compared = sum(one.spec.role == "candidate" for one in columns)
    if shape.raced or shape.grades is not None or len(ids) < 2:
        most = max(2, len(columns), len(columns) + shape.possible - compared)
        level = share * bounds.level(ALPHA, shape.looks, most)
        return dict.fromkeys(names, level)
    scores = np.stack([one.values(ids) for one in columns], 1)
    spread = many.covariance(scores, cluster_numbers(shape.grouped(ids).of, len(ids)))
    rivals = None
    if far is not None:
        rivals = np.array([[(a, b) not in far for b in names] for a in names])
    tail = shape.paid(share * shape.tail, compared, len(columns) - 1)
    found = many.pair_levels(spread, tail, rivals)
    return dict(zip(names, found.tolist(), strict=True))


def _rows(shape: Shape, arm: Column, versus: Column) -> _Rows:
    ids = in_turn(set(arm.cells) & set(versus.cells), arm.fold, shape.task.seed)
    folds = np.array([arm.fold[i] for i in ids])
    # A reference that learns (the commonest answer) scatters little; only candidates are charged.
    learned = arm.learned or (versus.learned and versus.spec.role == "candidate")
    factor = shape.factor(folds) if learned else 1.0
    fitted: dict[str, Any] = {}
    if factor > 1:
        fitted = {"factor": factor, "folds": Folds(folds, max(arm.retrained, versus.retrained))}
    diffs = arm.values(ids) - versus.values(ids)
    return _Rows(shape, arm, versus, ids, diffs, shape.grouped(ids), fitted)


def _pair(rows: _Rows, levels: tuple[float, float], key: Key) -> Pair:
    upper, lower = levels
    above = rows.bound(upper)
    below = above if lower == upper else rows.bound(lower)
    return Pair(
        arm=key[0],
        versus=key[1],
        n=len(rows.ids),
        mean=round(above.mean, 6),
        low=round(below.low, 6),
        high=round(above.high, 6),
        level=upper,
        low_level=lower,
        factor=round(float(rows.fitted.get("factor", 1.0)), 6),
        wins=above.wins,
        losses=above.losses,
        differ=above.differ,
        apart=_apart(rows),
    )


def _apart(rows: _Rows) -> int:
    """Return on how many cases the answers differ, spaces at the ends aside."""
    one, two = rows.arm.cells, rows.versus.cells
    return sum(one[i][0].text.strip() != two[i][0].text.strip() for i in rows.ids)
