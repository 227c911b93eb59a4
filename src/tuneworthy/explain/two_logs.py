"""Compare the recorded answers of two systems on the rows that both answered. Pure.

One interval, the same as between two studies: the paired difference with bounds that are two-sided
at 95 %. The bounds of slices pay for all slices together (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from types import MappingProxyType

from tuneworthy.explain.arm_slices import ONE_GROUP_DESIGN, slice_parts
from tuneworthy.explain.interval_width import EXPLAINED_RATIO
from tuneworthy.explain.trends import neighbours
from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.design import TAIL, Design
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.matrix.sizing import Assurance, SampleSize
from tuneworthy.records.answer import Answer, Score, Unscored, value_or_zero
from tuneworthy.records.case import Case, right_answers
from tuneworthy.records.counting import count_noun
from tuneworthy.records.evidence import Pair
from tuneworthy.records.further import SMALL_SLICE
from tuneworthy.records.interval import Interval
from tuneworthy.records.record import digest
from tuneworthy.records.run import Spec
from tuneworthy.records.split import TREND_ALPHA, Neighbours, Split
from tuneworthy.records.task import Task

Scores = Sequence[Score | Unscored]
Grades = Mapping[tuple[str, str], float]
NO_GRADES: Grades = MappingProxyType({})
ALONE = Design.independent("how wide the interval would be if no row depended on another")


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
    another level. If people graded rows where the two differ, `graded` counts those rows, `pair` is
    corrected by their grades, and `automatic` is the metric's own.
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
    graded: int = 0
    automatic: Pair | None = None

    @property
    def is_shown(self) -> bool:
        """Return whether one system is shown better: its bounds exclude 0, and they hold."""
        return self.dependent is None and (self.pair.low > 0 or self.pair.high < 0)

    @property
    def gave_same_answers(self) -> bool:
        """Return whether both systems gave the same answer to each row, as copies of a log do."""
        return _same_answers(self.cases)

    def answers_per_row(self, side: int) -> tuple[int, int]:
        """Return how often the first (0) or second (1) system answered a row: least and most."""
        counts = [1 + len(row.answers[side].repeats) for row in self.cases]
        return min(counts), max(counts)

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
    sentences that the user must know. `open_rows` are those that a person's grades can tell apart,
    in the order in which they are graded; `with_grades` returns the result corrected by them.
    `unscored` counts rows left out because the metric gave an answer no score, `unanswered` those
    that A, or that B, left out while the other answered them. `alike`: how often A answered each
    row, if all answers of a row are one text; else 1.
    """

    result: TwoLogs
    metric: str
    type: str
    guessed: bool
    left_out: dict[str, int]
    notes: tuple[str, ...]
    open_rows: tuple[AnsweredCase, ...] = ()
    with_grades: Callable[[Grades], TwoLogs] | None = None
    unscored: int = 0
    unanswered: tuple[int, int] = (0, 0)
    alike: int = 1

    @property
    def is_open(self) -> bool:
        """Return whether answers are free text: then a metric's score is not a person's."""
        return self.type == "text"

    def corrected(self, grades: Grades) -> LogComparison:
        """Return the comparison with its difference corrected by people's grades of answers.

        They are grades of the rows in `open_rows`, from the first on; others do not count, and a
        note says how many.
        """
        if self.with_grades is None or not grades:
            return self
        result, notes = self.with_grades(grades), self.notes
        if ignored := len({case for case, _ in grades}) - result.graded:
            notes = (
                *notes,
                f"not counted: {count_noun(ignored, 'graded row')} that --grade did not draw; rows"
                " that somebody chose are no random sample",
            )
        return replace(self, result=result, notes=notes)


def compare_answers(
    task: Task,
    names: tuple[str, str],
    cases: Sequence[Case],
    first: tuple[Sequence[Answer], Scores],
    second: tuple[Sequence[Answer], Scores],
    groups: Mapping[str, str],
    grades: Grades = NO_GRADES,
) -> TwoLogs:
    """Return scores, difference and slices of two systems that both answered these cases.

    `first` and `second` are answers and scores in case order; an answer without a score counts 0.
    `groups` maps a case to its group (copies, one conversation), {} for independent rows. `grades`
    are those of both answers of rows that were drawn at random among those that differ. Raises
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
    named = {"arm": names[1], "versus": names[0]}
    pair = automatic = matrix.difference("B", "A", TAIL).model_copy(update=named)
    if grades:
        pair = with_grades(task, cases, (first, second), groups, grades).model_copy(update=named)
    slices = list(_slice_differences(task, cases, matrix))
    told = TwoLogs(
        names=names,
        score_intervals=(matrix.mean("A", 2 * TAIL).interval, matrix.mean("B", 2 * TAIL).interval),
        pair=pair,
        more=None if grades or not (pair.wins or pair.losses) else more_rows(pair),
        slices=tuple(sorted(slices, key=_slice_sort_key)),
        looked_at=len(slices),
        cases=both,
        matrix=matrix,
        grouped=_group_effect(matrix, pair),
        dependent=_shown_dependence(both, groups),
        graded=len({case for case, _ in grades}),
        automatic=automatic if grades else None,
    )
    return told if grades else replace(told, pair=told.tested(TAIL))


def _shown_dependence(both: Sequence[AnsweredCase], groups: Mapping[str, str]) -> Neighbours | None:
    scores = {name: {row.case.id: row.scores[at] for row in both} for at, name in enumerate("AB")}
    tests = neighbours([row.case for row in both], scores, groups)
    return next((test for test in tests if test.p is not None and test.p <= TREND_ALPHA), None)


def _matrix_of(
    task: Task,
    cases: Sequence[Case],
    sides: tuple[tuple[Sequence[Answer], Scores], ...],
    groups: Mapping[str, str],
    grades: Grades | None = None,
) -> Matrix:
    """Return the matrix of a study with two recorded arms, "A" and "B".

    Where no case names a group, groups are copies. With `grades`, scores are those of a judge.
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
    right = frozenset() if grades is None else right_answers(cases)
    inputs = ComparisonInputs(task, "", split, grades=grades, right=right, sloped=True)
    return Matrix(inputs, columns)


def with_grades(
    task: Task,
    cases: Sequence[Case],
    sides: tuple[tuple[Sequence[Answer], Scores], ...],
    groups: Mapping[str, str],
    grades: Grades,
) -> Pair:
    """Return the metric's difference B - A, corrected by the grades of rows drawn at random."""
    return _matrix_of(task, cases, sides, groups, grades).difference("B", "A", TAIL)


def grading_order(cases: Sequence[Case], one: Sequence[Answer], two: Sequence[Answer]) -> list[int]:
    """Return the positions of rows that a person's grades can tell apart, in a random order.

    Those are the rows whose answers differ and need a person on one side at least. The order is by
    a hash, so that its first rows are a random part, and further ones continue it.
    """
    right = right_answers(cases)
    open_rows = [
        at for at, pair in enumerate(zip(one, two, strict=True))
        if pair[0].text.strip() != pair[1].text.strip() and answers_to_grade(pair, right)
    ]  # fmt: skip
    return sorted(open_rows, key=lambda at: digest(["graded", cases[at].id]))


def answers_to_grade(pair: Iterable[Answer], right: AbstractSet[tuple[str, str]]) -> list[Answer]:
    """Return those answers that need a person: neither right by their text, nor empty or failed."""
    return [
        answer for answer in pair
        if answer.error is None and answer.text.strip()
        and (answer.case, answer.text.strip()) not in right
    ]  # fmt: skip


def grades_in_order(
    cases: Sequence[Case], one: Sequence[Answer], two: Sequence[Answer], grades: Grades
) -> dict[tuple[str, str], float]:
    """Return the grades of the first rows of the order, up to the first row that lacks one.

    Grades of rows that somebody chose would be no random part of the rows, so they do not count.
    """
    used: dict[tuple[str, str], float] = {}
    right = right_answers(cases)
    for at in grading_order(cases, one, two):
        keys = [(a.case, a.text.strip()) for a in answers_to_grade((one[at], two[at]), right)]
        if any(key not in grades for key in keys):
            break
        used |= {key: grades[key] for key in keys}
    return used


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
    parts = [part for part in slice_parts(task, cases) if SMALL_SLICE <= len(part[2]) < len(cases)]
    for kind, name, ids in parts:
        part = matrix.part(ids, ONE_GROUP_DESIGN if kind == "group" else None)
        delta = part.difference("B", "A", TAIL / len(parts)).interval
        yield SliceDifference(kind, name, len(ids), delta)


def _slice_sort_key(part: SliceDifference) -> tuple[bool, float, str, str]:
    """Return a sort key: slices with a shown difference first, then by its size."""
    shown = part.delta.low > 0 or part.delta.high < 0
    return not shown, -abs(part.delta.mean), part.kind, part.name
