"""Compare the recorded answers of two systems on the rows that both answered. Pure.

One interval, the same as between two studies: the paired difference with bounds that are two-sided
at 95 %. The bounds of slices pay for all slices together (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuneworthy.explain.arm_slices import ONE_GROUP_DESIGN, named_parts, slice_parts
from tuneworthy.explain.interval_width import EXPLAINED_RATIO
from tuneworthy.explain.trends import neighbours
from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.design import TAIL, Design
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.matrix.sizing import Assurance, SampleSize
from tuneworthy.records.answer import Answer, Score, Unscored, value_or_zero
from tuneworthy.records.case import Case
from tuneworthy.records.evidence import Pair
from tuneworthy.records.further import SMALL_SLICE
from tuneworthy.records.interval import Interval
from tuneworthy.records.run import Spec
from tuneworthy.records.split import TREND_ALPHA, Neighbours, Split
from tuneworthy.records.task import Task

ALONE = Design.independent("how wide the interval would be if no row depended on another")
_MOST_META_VALUES = 12  # a field of `meta` with more distinct values makes no slices


@dataclass(frozen=True)
class AnsweredCase:
    """A case with the answers and scores of the first and the second system."""

    case: Case
    answers: tuple[Answer, Answer]
    scores: tuple[float, float]

    @property
    def difference(self) -> float:
        """Return the score of the second system minus that of the first."""
        return self.scores[1] - self.scores[0]


@dataclass(frozen=True)
class SliceDifference:
    """The difference second - first on a slice; the bounds of all slices hold together."""

    kind: str
    name: str
    n: int
    delta: Interval


@dataclass(frozen=True)
class _GroupEffect:
    """How far groups of rows widen an interval.

    If all rows were independent, the interval would be `low` to `high`; `worth` independent rows
    would give one as wide as it is.
    """

    groups: int
    worth: float
    low: float
    high: float


@dataclass(frozen=True)
class TwoLogs:
    """The comparison of two systems: scores, the paired difference second - first, slices, cases.

    `score_intervals` are two-sided, 95 %. `more` is the number of rows that show which is better
    with a chance of 0.8; None if the difference is shown already, if no such number is likely to,
    or if all answers are the same. `looked_at` counts all slices, `slices` are those of 20 rows or
    more, shown differences first, then by size. `grouped` is None where groups of rows hardly widen
    the interval. `dependent` is the test that shows that rows depend on their neighbours in the
    file, so that no interval holds; else None. `matrix` has both as arms "A" and "B", for bounds at
    another level.
    """

    names: tuple[str, str]
    score_intervals: tuple[Interval, Interval]
    pair: Pair
    more: SampleSize | None
    slices: tuple[SliceDifference, ...]
    looked_at: int
    cases: tuple[AnsweredCase, ...]
    matrix: Matrix
    grouped: _GroupEffect | None = None
    dependent: Neighbours | None = None

    @property
    def is_shown(self) -> bool:
        """Return whether one system is shown better: its bounds exclude 0, and they hold."""
        return self.dependent is None and (self.pair.low > 0 or self.pair.high < 0)

    @property
    def gave_same_answers(self) -> bool:
        """Return whether both systems gave the same answer to each row, as copies of a log do."""
        return _same_answers(self.cases)

    @property
    def rows_scored_equal(self) -> int:
        """Return the number of rows on which both score the same."""
        return self.pair.n - self.pair.wins - self.pair.losses

    def tested(self, tail: float) -> Pair:
        """Return the difference with bounds at `tail`, which an exact test may move past 0."""
        pair = self.matrix.difference("B", "A", tail)
        found = self.matrix.inputs.design.tested(
            {row.case.id: round(row.difference, 9) for row in self.cases}, tail
        ).interval
        ends = {"arm": self.names[1], "versus": self.names[0], "low": found.low, "high": found.high}
        return pair.model_copy(update=ends)


@dataclass(frozen=True)
class LogComparison:
    """The comparison of two logs, its metric, and whether that was guessed.

    `left_out` maps a reason to the number of rows that the comparison does not count; `notes` are
    sentences that the user must know. `unscored` counts rows left out because the metric gave an
    answer no score, `unanswered` those that A, or that B, left out while the other answered them.
    `alike`: how often A answered each row, if all answers of a row are one text; else 1.
    """

    result: TwoLogs
    metric: str
    type: str
    guessed: bool
    left_out: dict[str, int]
    notes: tuple[str, ...]
    unscored: int = 0
    unanswered: tuple[int, int] = (0, 0)
    alike: int = 1


Scores = Sequence[Score | Unscored]


def compare_answers(
    task: Task,
    names: tuple[str, str],
    cases: Sequence[Case],
    first: tuple[Sequence[Answer], Scores],
    second: tuple[Sequence[Answer], Scores],
    groups: Mapping[str, str],
) -> TwoLogs:
    """Return scores, difference and slices of two systems that both answered these cases.

    `first` and `second` are answers and scores in case order; an answer without a score counts 0.
    `groups` maps a case to its group (copies, one conversation), {} for independent rows. Raises
    ValueError for no cases.
    """
    both = tuple(
        AnsweredCase(
            case,
            (first[0][i], second[0][i]),
            (value_or_zero(first[1][i]), value_or_zero(second[1][i])),
        )
        for i, case in enumerate(cases)
    )
    matrix = _matrix_of(task, cases, (first, second), groups)
    pair = matrix.difference("B", "A", TAIL).model_copy(
        update={"arm": names[1], "versus": names[0]}
    )
    slices = list(_slice_differences(task, cases, matrix))
    return TwoLogs(
        names=names,
        score_intervals=(matrix.mean("A", 2 * TAIL).interval, matrix.mean("B", 2 * TAIL).interval),
        pair=pair,
        more=None if _same_answers(both) else more_rows(pair),
        slices=tuple(sorted(slices, key=_slice_sort_key)),
        looked_at=len(slices),
        cases=both,
        matrix=matrix,
        grouped=_group_effect(matrix, pair),
        dependent=_shown_dependence(both, groups),
    )


def _shown_dependence(both: Sequence[AnsweredCase], groups: Mapping[str, str]) -> Neighbours | None:
    scores = {name: {row.case.id: row.scores[at] for row in both} for at, name in enumerate("AB")}
    tests = neighbours([row.case for row in both], scores, groups)
    return next((test for test in tests if test.p is not None and test.p <= TREND_ALPHA), None)


def _matrix_of(
    task: Task,
    cases: Sequence[Case],
    sides: tuple[tuple[Sequence[Answer], Scores], ...],
    groups: Mapping[str, str],
) -> Matrix:
    """Return the matrix of a study with two recorded arms, "A" and "B".

    Where no case names a group, groups are copies.
    """
    copies = all(case.group is None for case in cases)
    split = Split(k=1, parts=(), groups=groups, only_copies=copies)
    ids = [case.id for case in cases]
    columns = {
        name: Column(
            Spec(name=name, arm="answers"), dict(zip(ids, zip(*side, strict=True), strict=True)),
            {}, learned=False, runs=(),
        )
        for name, side in zip("AB", sides, strict=True)
    }  # fmt: skip
    return Matrix(ComparisonInputs(task, "", split), columns)


def _same_answers(both: Sequence[AnsweredCase]) -> bool:
    """Return whether all answers and scores are the same, so that more rows would show nothing."""
    return all(row.answers[0].text == row.answers[1].text and not row.difference for row in both)


def more_rows(pair: Pair) -> SampleSize | None:
    """Return how many rows show which side is better (chance .8); None if shown or too many.

    None if that is shown already, or if four times the rows (at least 1,000) are unlikely to.
    """
    if pair.low > 0 or pair.high < 0:
        return None
    return Assurance(pair, pair.level, 0.0, 0.0, 0.0).size()


def _group_effect(matrix: Matrix, pair: Pair) -> _GroupEffect | None:
    """Return how far groups of rows widen the interval; None if by 15 % or less."""
    ids = [*matrix.columns["A"].cells]
    alone = matrix.part(ids, ALONE).difference("B", "A", TAIL)
    wider = (pair.high - pair.low) / (alone.high - alone.low)
    if wider <= EXPLAINED_RATIO:
        return None
    count = int(matrix.inputs.design.numbers(ids).max()) + 1
    return _GroupEffect(count, len(ids) / wider**2, alone.low, alone.high)


def _slice_differences(
    task: Task, cases: Sequence[Case], matrix: Matrix
) -> Iterator[SliceDifference]:
    """Yield the difference on each slice of 20 rows or more; all bounds hold together."""
    parts = [*slice_parts(task, cases), *_slices_by_meta(cases)]
    parts = [part for part in parts if SMALL_SLICE <= len(part[2]) < len(cases)]
    for kind, name, ids in parts:
        part = matrix.part(ids, ONE_GROUP_DESIGN if kind == "group" else None)
        delta = part.difference("B", "A", TAIL / len(parts)).interval
        yield SliceDifference(kind, name, len(ids), delta)


def _slices_by_meta(cases: Sequence[Case]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (field, value, case ids) for each field of `meta` with few distinct values."""
    for key in sorted({key for case in cases for key in case.meta}):
        values = {case.id: case.meta.get(key) for case in cases}
        named = {i: str(v) for i, v in values.items() if isinstance(v, str | int) and str(v)}
        if 2 <= len(set(named.values())) <= _MOST_META_VALUES:
            yield from ((key, name, ids) for name, ids in named_parts(named))


def _slice_sort_key(part: SliceDifference) -> tuple[bool, float, str, str]:
    """Return a sort key: slices with a shown difference first, then by its size."""
    shown = part.delta.low > 0 or part.delta.high < 0
    return not shown, -abs(part.delta.mean), part.kind, part.name
