"""Inputs of a comparison besides the runs (folds, looks, grades); the error bounds may spend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.design import CHOSEN_ARM_LEVEL, Design
from tuneworthy.matrix.judge_correction import GradedRows
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task
from tuneworthy.stats import bounds, many
from tuneworthy.stats.many import nested_level

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ComparisonInputs:
    """The inputs of a comparison besides the runs: the task, its folds with groups, and looks.

    `grades` are human grades if the metric is a judge, else None; `right` holds the (case id, text)
    of the answers that then need no grade (see `judge_correction`).
    `possible_arms` counts the arms that the bounds pay for, measured or not: those that the stage
    rule may run, and those of an earlier study that showed these answers too; 0 without any.
    `folds` has the planned folds of each arm of a staged study, `looked` the numbers of folds after
    which it was looked at, those of its schedule first. `earlier` has (look, rows) of each
    earlier look at a part of these rows that showed the same answers. `refits` has, by arm that was
    fitted on several partitions, the mean variance of a row's score over them. `own_design` is how
    rows depend on each other where it is not what task and split say. `sloped`: the scores are a
    metric's, and count by the slope of the grades on them.
    """

    task: Task
    study: str
    split: Split
    looks: int = 1
    blocks: tuple[str, ...] = ()
    pool: int = 0
    limited: bool = False
    grades: Mapping[tuple[str, str], float] | None = None
    right: AbstractSet[tuple[str, str]] = frozenset()
    possible_arms: int = 0
    folds: Mapping[str, int] = field(default_factory=dict)
    looked: Mapping[str, Sequence[float]] = field(default_factory=dict)
    earlier: Sequence[tuple[int, float]] = ()
    refits: Mapping[str, float] = field(default_factory=dict)
    own_design: Design | None = None
    sloped: bool = False

    def error_multiple(self, column: Column, rivals: int = 1) -> float:
        """Return the multiple of the error `tail` that an arm's bounds may spend at this look.

        An arm that is measured fold by fold spends its error in proportion to the folds, and what
        an earlier look at the same answers spent is not paid for again (`nested_level`). Of several
        `rivals` each spends its part: the less they resemble each other, the less looks at them do.
        """
        tail, rows = self.tail / rivals, float(len(self.split.scored))
        done = column.folds_done(self.split)
        folds = max(done, self.folds.get(column.spec.name, done))
        stops = [at for at in self.looked.get(column.spec.name, ()) if at < done]
        shares = [0.0, *(at / folds for at in (*sorted(set(stops)), done))]
        steps = [(tail * (now - then), now * rows) for then, now in pairwise(shares)]
        if steps[0][0] == tail:  # all folds at once: only earlier studies saw some of the rows
            steps = [
                *((bounds.level(ALPHA, look) / rivals, seen) for look, seen in self.earlier),
                *steps,
            ]
        return nested_level(steps) / tail

    def tail_of_measured(self, tail: float, compared: int, rivals: int) -> float:
        """Return the part of the error `tail` that may be spent on the measured rivals.

        `compared` candidates were measured; an arm has `rivals` in its family. The error is split
        evenly over all possible rivals, measured or not.
        """
        unseen = max(0, self.possible_arms - compared)
        return tail * rivals / (rivals + unseen) if rivals else tail

    @property
    def tail(self) -> float:
        """Return the one-sided family-wise error of one arm's bounds, at this look at the rows."""
        return bounds.level(ALPHA, self.looks)

    def tail_among(self, arms: int) -> float:
        """Return the error of each bound if so many arms (at least 2) are compared: Bonferroni."""
        return bounds.level(ALPHA, self.looks, max(2, arms))

    @cached_property
    def design(self) -> Design:
        """Return how the scored rows depend on each other."""
        return self.own_design or Design.of(self.task, self.split)

    def level_of_best(self, scores: Sequence[Array], ids: Sequence[str]) -> float:
        """Return the two-sided level at which the lower ends of several arms' scores hold together.

        `scores` has each arm's values on these cases.
        """
        spread = many.covariance(np.stack(scores, 1), self.design.numbers(ids))
        return 2 * many.best_of_many_level(spread, CHOSEN_ARM_LEVEL / 2)

    def graded_rows(self, column: Column, ids: Sequence[str]) -> GradedRows | None:
        """Return an arm's judge scores beside its human grades on these cases; None if no judge."""
        if self.grades is None:
            return None
        answers = [column.cells[i][0] for i in ids]
        return GradedRows.of(column.values(ids), answers, self.grades, self.right, self.sloped)
