"""Arms x cases: a column for each measured arm, and every mean and difference of them. Pure.

The case is the unit: a cell holds an arm's answer to it, or the mean of several. How cases depend
on each other, what an arm learnt from, human grades and looks are inside, so no caller tells them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tuneworthy.matrix.abstention import SureAnswers, answering_only_sure
from tuneworthy.matrix.columns import (
    Column,
    LadderPlace,
    columns_of,
    group_by_place,
    shared_cases,
)
from tuneworthy.matrix.design import CHOSEN_ARM_LEVEL, TAIL, Design, Mean
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.pairs import pair_of, simplest_equals
from tuneworthy.records.evidence import Pair
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.run import Run
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task


@dataclass(frozen=True)
class Matrix:
    """The measured arms of a study, or of two logs, by name in the order of their runs.

    `sure` has what each arm may answer where the task limits the share of wrong answers.
    """

    inputs: ComparisonInputs
    columns: Mapping[str, Column]
    sure: Mapping[str, SureAnswers] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: ComparisonInputs, runs: Sequence[Run]) -> Matrix:
        """Return the matrix of these runs; arms that failed or were skipped have no column.

        Under `success.wrong_at_most` the score of a case is whether it is answered.
        """
        scored = cls.by_score(inputs, runs)
        if (limit := inputs.task.success.wrong_at_most) is None:
            return scored
        return cls(inputs, *answering_only_sure(inputs, scored.columns, limit))

    @classmethod
    def by_score(cls, inputs: ComparisonInputs, runs: Sequence[Run]) -> Matrix:
        """Return the matrix of these runs by what the metric gave, as if all rows were answered."""
        return cls(inputs, columns_of(runs))

    @classmethod
    def explaining(cls, task: Task, split: Split, runs: Sequence[Run]) -> Matrix:
        """Return the matrix for figures that only explain: look 1, no human grades, no rivals."""
        return cls.by_score(ComparisonInputs(task, "", split), runs)

    def with_role(self, role: str) -> dict[str, Column]:
        """Return {arm name: column} of the arms with this role, such as "candidate"."""
        return {name: one for name, one in self.columns.items() if one.spec.role == role}

    def part(self, ids: Collection[str], design: Design | None = None) -> Matrix:
        """Return the matrix of these cases alone; arms that answered none of them are left out.

        `design` says how its cases depend on each other, where a part differs from the whole.
        """
        parts = {name: one.part(ids) for name, one in self.columns.items()}
        inputs = self.inputs if design is None else replace(self.inputs, own_design=design)
        return Matrix(inputs, {name: one for name, one in parts.items() if one.cells})

    def mean(
        self, arm: str, level: float = CHOSEN_ARM_LEVEL, rivals: Sequence[Column] = ()
    ) -> Mean:
        """Return the mean score of an arm with its interval, two-sided at `level`.

        Human grades correct a judge's. The best of several `rivals` for a place was chosen for its
        score: its lower end has the level at which those of all of them hold together.
        """
        inputs, column = self.inputs, self.columns[arm]
        ids, fit = sorted(column.cells), column.fit(inputs.split)
        graded = inputs.graded_rows(column, ids)
        known = None if graded is None else graded.known
        if graded is not None and known is None:
            return inputs.design.corrected(graded, ids, level / 2, 0.0, fit)
        values = column.values(ids) if known is None else known
        scores = dict(zip(ids, values.tolist(), strict=True))
        score = inputs.design.mean(scores, level, fit)
        common = shared_cases(rivals)
        if len(rivals) > 1 and len(common) > 1:
            lower = inputs.level_of_best([rival.values(common) for rival in rivals], common)
            score = score._replace(low=min(score.low, inputs.design.mean(scores, lower, fit).low))
        return score

    def share(self, arm: str, flags: Mapping[str, bool]) -> Mean:
        """Return the share of an arm's cases whose flag is true, with its interval at 95 %."""
        return self.inputs.design.mean(flags, ALPHA, self.columns[arm].fit(self.inputs.split))

    def difference(self, arm: str, versus: str, tail: float = TAIL) -> Pair:
        """Return the paired difference of two arms on the cases of both, bounds at `tail` each.

        Raises ValueError if they share no case.
        """
        return pair_of(self.inputs, self.columns[arm], self.columns[versus], tail)

    def share_cases(self, arm: str, versus: str) -> bool:
        """Return whether both arms answered at least one common case."""
        return not self.columns[arm].cells.keys().isdisjoint(self.columns[versus].cells)

    @cached_property
    def places(self) -> dict[LadderPlace, list[Column]]:
        """Return {place on the ladder: candidates that compete for it, best mean first}."""
        mean = None if self.inputs.grades is None else lambda one: self.mean(one.spec.name).mean
        return group_by_place(self.columns.values(), self.inputs.task, mean)

    def competition(
        self, broken: Collection[str] = ()
    ) -> tuple[dict[str, Sequence[Column]], list[Pair]]:
        """Return ({finalist: arms of its place, itself first}, all pairs that include a finalist).

        The bounds hold together for all arms, looks and stages (`pairs.simplest_equals`). `broken`
        are arms that break a limit of the task.
        """
        references = self.with_role("reference")
        return simplest_equals(self.inputs, self.places.values(), references, broken)
