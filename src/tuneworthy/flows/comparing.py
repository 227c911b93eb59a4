"""Compare two systems, logged or asked, for `tuneworthy compare A B --gold ROWS`.

No ledger is opened and no look is counted: nothing of a study is read or written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tuneworthy.explain.two_logs import (
    NO_GRADES,
    Grades,
    LogComparison,
    TwoLogs,
    compare_answers,
    grades_in_order,
    grading_order,
)
from tuneworthy.flows.compared_metric import (
    FILES_KEPT,
    NONE_RIGHT,
    AlignedRows,
    contained_answer_notes,
    unscored_rows,
    with_metric,
)
from tuneworthy.metrics import metric_name, score_all, scorer
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.records.errors import DataError
from tuneworthy.records.escape import quoted
from tuneworthy.records.record import digest
from tuneworthy.records.task import CopyRule, Data, Match, Recorded, Success, Task
from tuneworthy.rows.answers import AlignedAnswers, align_answers
from tuneworthy.rows.compared_files import ComparedFiles, compared_columns, compared_files
from tuneworthy.rows.copies import copy_groups
from tuneworthy.rows.load import Loaded, load_records
from tuneworthy.rows.matching import MOST_WITHOUT_ROW
from tuneworthy.rows.observations import rule_text
from tuneworthy.rows.recorded import answer_observations, refuse_gold
from tuneworthy.rows.table import open_table
from tuneworthy.rows.table_columns import Choice
from tuneworthy.verdict import drift

A, B = "A", "B"
_REPORTED_KINDS = {"answers_are_gold", "matched_by_order", "inputs_differ", "answers_unknown",
                  "answers_alike", "matched_by_input"}  # fmt: skip


@dataclass(frozen=True)
class CompareOptions:
    """Options of `compare`: metric (None: as `init` proposes), matching, bad rows, copies.

    `cases` limits the rows that are compared, chosen by a hash of their ids (None: all).
    """

    metric: str | None = None
    match: Match | None = None
    bad_rows: Literal["stop", "exclude"] = "stop"
    max_bad: float = 0.01
    copies: CopyRule = "near"
    cases: int | None = None


@dataclass(frozen=True)
class Side:
    """A system that is compared: the file of its answers, or a function that asks it the cases.

    `paid`: its requests may cost money, so it is asked last.
    """

    name: str
    file: Path | None = None
    ask: Callable[[Task, Sequence[Case]], Sequence[Answer]] | None = None
    paid: bool = False


def compare_files(
    first: Path,
    second: Path,
    gold: Path,
    options: CompareOptions = CompareOptions(),
    named: Choice = Choice(),
) -> LogComparison:
    """Return the comparison of two files of recorded answers on the rows of a third.

    `named` are the columns that the user named; columns without usual names are guessed, and the
    notes say how. Rows that one of the files does not answer are left out and counted; a null
    answer is a failed one and scores 0. Raises DataError for rows that can't be used, files that
    can't be matched or no common row, TaskError for a metric or a column that is not there.
    """
    sides = Side(str(first), first), Side(str(second), second)
    return compare_sides(sides, gold, options, named)


def compare_sides(
    sides: tuple[Side, Side],
    gold: Path,
    options: CompareOptions = CompareOptions(),
    named: Choice = Choice(),
) -> LogComparison:
    """Return the comparison of two systems, files of answers or asked ones, on the rows of `gold`.

    As `compare_files`. A system is asked the rows that the other one's file answers.
    """
    files = {letter: side.file for letter, side in zip((A, B), sides, strict=True) if side.file}
    _refuse_missing(*files.values(), gold)
    found = compared_files(gold, files, named)
    loaded = _loaded_rows(gold, found, options)
    if not found.exported:
        refuse_gold(loaded.task, [str(file) for file in files.values()])
    counted = {f"no right answer in {quoted(str(gold), 60)}": found.unlabelled}
    return _compare_found(loaded, found, sides, options, counted if found.unlabelled else {})


def compare_columns(
    path: Path, named: Choice, options: CompareOptions = CompareOptions()
) -> LogComparison:
    """Return the comparison of two columns of answers of one table, `a` and `b` of the choice.

    Raises the errors of `compared_columns`, and TaskError for a metric that is not there.
    """
    _refuse_missing(path)
    found = compared_columns(path, named)
    loaded = _loaded_rows(path, found, options)
    sides = Side(named.answers["a"], path), Side(named.answers["b"], path)
    right = f"no right answer in `{quoted(str(named.output), 40)}`"
    counted = {right: found.unlabelled} if found.unlabelled else {}
    return _compare_found(loaded, found, sides, options, counted)


def loaded_gold(gold: Path, options: CompareOptions = CompareOptions()) -> Loaded:
    """Return the rows of a file of right answers, with the task's metric and answer form."""
    _refuse_missing(gold)
    loaded = _loaded_rows(gold, compared_files(gold, {}, Choice()), options)
    loaded = _sampled(loaded, options.cases)
    task, _ = with_metric(loaded, (loaded.cases, (), ()), options.metric)
    return replace(loaded, task=task)


def _loaded_rows(gold: Path, found: ComparedFiles, options: CompareOptions) -> Loaded:
    data = Data(file=str(gold), copies=options.copies)
    task = Task(data=data, success=Success(metric=options.metric)).at(Path())
    return load_records(task, found.gold, options.bad_rows, options.max_bad)


def _compare_found(
    loaded: Loaded,
    found: ComparedFiles,
    sides: tuple[Side, Side],
    options: CompareOptions,
    left_out: Mapping[str, int] = {},
) -> LogComparison:
    """Return the comparison of two systems on loaded rows; `left_out`: {reason: rows left out}."""
    names = sides[0].name, sides[1].name
    files = {letter: side.file for letter, side in zip((A, B), sides, strict=True) if side.file}
    wanted = {name: Recorded(file=str(file), match=options.match) for name, file in files.items()}
    loaded = replace(loaded, task=loaded.task.model_copy(update={"answers": wanted}).at(Path()))
    everyone, loaded = loaded.everyone, _sampled(loaded, options.cases)
    most = max(MOST_WITHOUT_ROW, options.max_bad) if options.bad_rows == "exclude" else 0.0
    logged = {
        name: align_answers(file, loaded.cases, everyone, options.match, "", records, most)
        for (name, file), records in zip(files.items(), found.logs, strict=True)
    }
    gold = Path(loaded.task.data.file or "")
    notes = [*found.notes, *_encoding_notes(gold, *files.values())]
    if options.copies != "near":
        notes.append(rule_text(options.copies))
    notes += [
        f"{o.text}: {o.fix}" if o.fix else o.text
        for o in answer_observations(loaded, logged)
        if o.kind in _REPORTED_KINDS
    ]
    aligned = logged | _asked_answers(loaded, sides, logged)
    often = {name: found.often for name, found in aligned.items()}
    if max(found.times[1] for found in aligned.values()) > 1:
        notes.append(f"A answers each row {often[A]}, B {often[B]}: the mean of a row's answers"
                     " counts, so that the row is the unit")  # fmt: skip
    counted = {f"gold row left out: {why}": n for why, n in loaded.excluded.items()}
    for name, file in zip((A, B), names, strict=True):
        if lost := sum(answer.lost == "not recorded" for answer in aligned[name].answers):
            counted[f"no answer in {quoted(file, 60)}"] = lost
        if gone := len(aligned[name].lost):
            counted[f"answer in {quoted(file, 60)} that nothing matches to a row"] = gone
    if names[0] == names[1] and files:
        notes.append("A and B are one file: every difference is 0")
    both = _rows_answered_by_both(loaded.cases, aligned, dict(zip((A, B), names, strict=True)))
    cases, one, two = (tuple(part) for part in zip(*both, strict=True))
    said = {**left_out, **counted}, notes
    compared = _compare_rows(loaded, names, (cases, one, two), options, said)
    own = [sum(a.lost != "not recorded" for a in aligned[name].answers) for name in (A, B)]
    left = (own[1] - len(both), own[0] - len(both))
    return replace(compared, unanswered=left, alike=max(aligned[A].alike))


def _sampled(loaded: Loaded, most: int | None) -> Loaded:
    """Return the rows with at most so many cases, chosen by a hash of their ids."""
    if most is None or most >= len(loaded.cases):
        return loaded
    chosen = sorted(loaded.cases, key=lambda case: digest(["compared", case.id]))[:most]
    kept = {case.id for case in chosen}
    return replace(loaded, cases=tuple(case for case in loaded.cases if case.id in kept))


def _asked_answers(
    loaded: Loaded, sides: tuple[Side, Side], logged: Mapping[str, AlignedAnswers]
) -> dict[str, AlignedAnswers]:
    """Return the answers of the systems that are asked, one after the other.

    A case that the other side's file does not answer is not asked: it could not be compared.
    """
    lacking = {a.case for one in logged.values() for a in one.answers if a.lost == "not recorded"}
    cases = [case for case in loaded.cases if case.id not in lacking]
    found: dict[str, AlignedAnswers] = {}
    for letter, side in sorted(zip((A, B), sides, strict=True), key=lambda pair: pair[1].paid):
        if found and sides[0] is sides[1]:  # one system twice is asked once
            found[B] = found[A]
        elif side.ask is not None and cases:
            told = {answer.case: answer for answer in side.ask(loaded.task, cases)}
            answers = (told.get(case.id) or Answer.missing(case.id, "not recorded")
                       for case in loaded.cases)  # fmt: skip
            found[letter] = AlignedAnswers(tuple(answers))
    return found


def _refuse_missing(*files: Path) -> None:
    """Raise DataError for the first file that does not exist, with its path as given."""
    for path in files:
        if not path.exists():
            raise DataError(
                "there is no such file", where=str(path), got=f"looked in {path.absolute().parent}",
                fix="correct the path; it starts at the folder you are in", kept=FILES_KEPT,
            )  # fmt: skip


def _encoding_notes(*files: Path) -> Iterator[str]:
    """Yield a note for each file that is read as Windows-1252 because it is not UTF-8."""
    for path in dict.fromkeys(files):
        if open_table(path).is_windows:
            yield f"{quoted(str(path), 60)} is not UTF-8: its letters are read as Windows-1252"


def _rows_answered_by_both(
    cases: Sequence[Case], found: dict[str, AlignedAnswers], files: dict[str, str]
) -> list[tuple[Case, Answer, Answer]]:
    """Return (case, A's answer, B's answer) of each row that both answer; DataError if none."""
    rows = list(zip(cases, found[A].answers, found[B].answers, strict=True))
    both = [row for row in rows if "not recorded" not in (row[1].lost, row[2].lost)]
    if not both:
        counts = [sum(own.lost != "not recorded" for own in found[name].answers) for name in (A, B)]
        raise DataError(
            "no row is answered in both files, so nothing can be compared",
            where=f"{files[A]} and {files[B]}",
            got=f"A answers {counts[0]:,} of {count_noun(len(rows), 'row')}, B {counts[1]:,},"
            " and no row twice",
            fix="give answers of both systems to the same rows, by `id` or `input`",
            kept=FILES_KEPT,
        )
    return both


def _compare_rows(
    loaded: Loaded,
    names: tuple[str, str],
    rows: AlignedRows,
    options: CompareOptions,
    said: tuple[dict[str, int], list[str]],
) -> LogComparison:
    task, guess = with_metric(loaded, rows, options.metric)
    cases, one, two = rows
    scores = [score_all(scorer(task), cases, answers) for answers in (one, two)]
    unscored = unscored_rows(task, rows, scores, options.max_bad)
    if unscored:
        keep = [at for at in range(len(cases)) if at not in unscored]
        cases = [cases[at] for at in keep]
        one, two = ([answers[at] for at in keep] for answers in (one, two))
        rows = cases, one, two
        scores = [[own[at] for at in keep] for own in scores]
        said[0]["row with an answer that the metric gave no score"] = len(unscored)
    sides, groups = ((one, scores[0]), (two, scores[1])), _group_of_each_case(loaded)

    def graded(grades: Grades) -> TwoLogs:
        used = grades_in_order(cases, one, two, grades)
        return compare_answers(task, names, cases, *sides, groups, used)

    found = graded(NO_GRADES)
    alike = found.gave_same_answers and names[0] != names[1]
    notes = [
        *said[1],
        *(["A and B give the same answer to every row"] if alike else []),
        *([NONE_RIGHT] if not any(sum(row.scores) for row in found.cases) else []),
        *guess,
        *contained_answer_notes(task, rows, scores),
        *_null_answer_notes(names, (one, two)),
        *([found.pair.repeats.text] if found.pair.repeats else ()),
        *([drift.neighbours_line(found.dependent)] if found.dependent else ()),
    ]
    kind = task.output.type or "text"
    order = tuple(found.cases[at] for at in grading_order(cases, one, two))
    return LogComparison(
        found, metric_name(task), kind, options.metric is None, said[0], tuple(notes), order,
        graded, len(unscored),
    )  # fmt: skip


def _group_of_each_case(loaded: Loaded) -> dict[str, str]:
    """Return {case id: group name}; copies, near-copies and rows of one `group` share a name.

    A study groups its rows alike, so the bounds widen for the same rows. Where every row names a
    `group`, only those count: the user knows which alike questions are different ones.
    """
    if all(case.group is not None for case in loaded.everyone):
        return {case.id: case.group or "" for case in loaded.everyone}
    first: dict[int, str] = {}
    numbers = copy_groups(loaded.copies)
    return {
        case.id: first.setdefault(number, case.id)
        for case, number in zip(loaded.everyone, numbers, strict=True)
    }


def _null_answer_notes(names: tuple[str, str], answers: Sequence[Sequence[Answer]]) -> list[str]:
    return [
        f"{with_verb(lost, 'answer', 'are')} empty in {quoted(name, 60)}, and"
        f" count{'s' if lost == 1 else ''} as wrong"
        for name, own in zip(names, answers, strict=True)
        if (lost := sum(answer.lost == "null" for answer in own))
    ]
