"""Read recorded answers of another system, aligned to cases (see rows/matching.py), and grades."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuneworthy.records.answer import Answer, label_table_fault
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.task import Match
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.csv_rows import DELIMITER_OF
from tuneworthy.rows.log_roles import PROBABILITY_KEYS, AnswerLog, find_answer_log
from tuneworthy.rows.matching import LogRows, match_answers
from tuneworthy.rows.rows import as_text, read_records
from tuneworthy.rows.table_columns import Choice, is_empty
from tuneworthy.rows.tool_exports import UndecidedColumn

_WHOLE_NUMBER = re.compile(r"-?\d+(\.0)?")
_EQUAL_SHARES = 0.01  # two numbers for one probability may be rounded apart by this
_KNOWN_FINISHES = ("stop", "length", "error")
# A month of work and a million dollars for one answer: a larger value is a unit or typing error,
# and one such value would dominate every mean of its arm.
_MAX_VALUES = {"seconds": 2.7e6, "usd": 1e6, "tokens_in": 10**9, "tokens_out": 10**9}


@dataclass(frozen=True)
class AlignedAnswers:
    """One answer per case, in case order.

    `unmatched` are the places (file:line) of answers that belong to no row, `lost` those of answers
    that are left out because nothing says whose they are. `matched_by` is the key that matched the
    answers, `by_input` the places of those that were matched by their input instead of an id.
    `other_inputs` are places of answers with the id of a row but another input (only if the user
    says to match by id). `alike`: how often rows were answered, at least and at most, if all
    answers of each row are one text; they count once. `columns` says which columns were read, ""
    for a file with the usual names.
    """

    answers: tuple[Answer, ...]
    unmatched: tuple[str, ...] = ()
    matched_by: Match = "id"
    other_inputs: tuple[str, ...] = ()
    alike: tuple[int, int] = (1, 1)
    columns: str = ""
    by_input: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def times(self) -> tuple[int, int]:
        """Return how often the rows were answered: the least and the most."""
        counts = [1 + len(one.repeats) for one in self.answers if one.lost != "not recorded"]
        return min(counts, default=1), max(counts, default=1)

    @property
    def often(self) -> str:
        """Return how often the rows were answered: `once`, `3 times`, `1 to 3 times`."""
        least, most = max(self.times, self.alike)
        if least < most:
            return f"{least} to {most} times"
        return "once" if most == 1 else f"{most} times"


def read_answers(
    path: Path, cases: Sequence[Case], match: Match | None = None, key: str = "answers.NAME"
) -> list[Answer]:
    """Return one answer per case, in order; a case without one gets an Answer with `error`.

    Raises the errors of `align_answers`.
    """
    return [*align_answers(path, cases, match=match, key=key).answers]


def align_answers(
    path: Path,
    cases: Sequence[Case],
    others: Sequence[Case | Query] = (),
    match: Match | None = None,
    key: str = "answers.NAME",
    records: Iterable[RawRow | RowFault] | None = None,
    most_lost: float = 0.0,
    labels: Collection[str] | None = None,
) -> AlignedAnswers:
    """Read recorded answers and align them to `cases`; the file may also answer `others`.

    Rows are {"id", "answer", "seconds"?, "usd"?, "tokens_in"?, "tokens_out"?, "finish"?,
    "probability"?, "scores"?}, or have an `input` instead of the id; `key` is the task-file key
    that names them. `records` are the file's records where they were read and renamed already. At
    most a share `most_lost` of the answers is left out because nothing says to which row they
    belong. `labels` are the task's, which `scores` may name; None: unknown. Raises DataError for a
    bad row, an impossible number (see _MAX_VALUES), answers that can't be matched (see
    rows/matching.py) or a file that matches no case.
    """
    log = AnswerLog(path, as_it_is=True)
    if records is None:
        try:
            log = find_answer_log(str(path), Choice())
        except (DataError, TaskError) as error:  # the strict reader says what is wrong
            if isinstance(error, UndecidedColumn):
                raise
        records = log.records()
    rows = _checked_rows(path, records, labels)
    matches = match_answers(LogRows(path, rows, match, key, most_lost), cases, others)
    if rows and not matches.rows:
        raise DataError(
            "no recorded answer belongs to a row of this task",
            where=str(path),
            got=_first_key_text(rows[0]),
            fix='give each row the "id" (or the "input") of the row it answers',
        )
    missing = [Answer.missing(case.id, "not recorded") for case in cases]
    answers = [
        _repeated_answer(matches.rows[case.id], case) if case.id in matches.rows else none
        for case, none in zip(cases, missing, strict=True)
    ]
    answers = _written_as_gold(answers, cases)
    found = AlignedAnswers(
        tuple(answers),
        matches.strangers,
        matches.matched_by,
        matches.other_inputs,
        columns="" if log.as_it_is else log.summary(),
        by_input=matches.by_input,
        lost=matches.lost,
    )
    if any(len({answer.text, *(again.text for again in answer.repeats)}) > 1 for answer in answers):
        return found
    first = tuple(answer.model_copy(update={"repeats": ()}) for answer in answers)
    return replace(found, answers=first, alike=found.times)


def _written_as_gold(answers: list[Answer], cases: Sequence[Case]) -> list[Answer]:
    """Return the answers, `3.0` as `3` or the other way round where each right answer is such.

    A table writes whole numbers with a point where one cell of the column is empty. None is changed
    unless all answers are written in one of the two ways, and all right ones in the other.
    """
    said = [one.text for answer in answers if not answer.lost for one in (answer, *answer.repeats)]
    both = said, [case.output for case in cases]
    points, golds = ({text.endswith(".0") for text in texts} for texts in both)
    whole = all(_WHOLE_NUMBER.fullmatch(text) for texts in both for text in texts)
    if not whole or len(points) != 1 or len(golds) != 1 or points == golds:
        return answers

    def rewritten(answer: Answer) -> Answer:
        text = answer.text.removesuffix(".0") + ".0" * (True in golds)
        table = {text if k == answer.text else k: v for k, v in (answer.labels or {}).items()}
        more = {"repeats": tuple(map(rewritten, answer.repeats)), "labels": table or None}
        return answer if answer.lost else answer.model_copy(update={"text": text, **more})

    return [rewritten(answer) for answer in answers]


def _checked_rows(
    path: Path, records: Iterable[RawRow | RowFault], labels: Collection[str] | None
) -> list[RawRow]:
    rows: list[RawRow] = []
    for row in records:
        if isinstance(row, RowFault):
            raise DataError(row.why, where=row.place(), got=row.got, fix=row.fix)
        if not {"answer", "output"} & set(row.fields):
            raise DataError(
                "a recorded answer has no `answer`",
                where=row.where,
                got=", ".join(sorted(row.fields)),
                fix='write {"id": ..., "answer": ...}, one object a line',
            )
        row = _with_numbers(row) if path.suffix.lower() in DELIMITER_OF else row
        _check_fields(row)
        _check_probabilities(row, labels)
        rows.append(row)
    return rows


def _with_numbers(row: RawRow) -> RawRow:
    """Return a table's row with its numeric cells, which are text, parsed as numbers."""
    fields = dict(row.fields)
    for key in _MAX_VALUES.keys() & fields.keys():
        with contextlib.suppress(ValueError):
            fields[key] = (int if key.startswith("tokens") else float)(fields[key])
    for key in fields.keys() & {*PROBABILITY_KEYS}:
        with contextlib.suppress(ValueError, TypeError):
            fields[key] = json.loads(fields[key])
    return RawRow(row.where, fields)


def _check_fields(row: RawRow) -> None:
    """Raise DataError for impossible seconds, dollars, tokens or finishes of any row."""
    for key, most in _MAX_VALUES.items():
        whole, value = key.startswith("tokens"), row.fields.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            what, kind = f"`{key}` is no number", "a whole number" if whole else "a number"
            fix = f"write {kind} without quotes, or leave `{key}` out where it was not measured"
        elif value < 0:
            what, fix = f"`{key}` is below 0", f"leave `{key}` out where it was not measured"
        elif value > most:
            what, fix = f"`{key}` is too large", f"write at most {most:,.0f} for one answer"
        else:
            continue
        raise _wrong_field(row, key, f"in a recorded answer {what}", fix)
    if row.fields.get("finish") not in (None, *_KNOWN_FINISHES):
        fix = f"write one of {', '.join(_KNOWN_FINISHES)}, or leave it out"
        raise _wrong_field(row, "finish", "in a recorded answer `finish` is not known", fix)


def _check_probabilities(row: RawRow, labels: Collection[str] | None) -> None:
    """Raise DataError if a row's `probability` or `scores` can't be those of its answer."""
    share: Any = row.fields.get("probability")
    scores, text = row.fields.get("scores"), _answer_text(row)
    if not is_empty(share) and (why := label_table_fault({text: share}, None)):
        fix = "write a number from 0 to 1, or leave `probability` out where it is not known"
        raise _wrong_field(row, "probability", f"in a recorded answer {why}", fix)
    if is_empty(scores):
        return
    table = scores if isinstance(scores, dict) else {}
    why = "" if table is scores else "`scores` is no object"
    if why := why or label_table_fault(table, labels):
        fix = 'write {"LABEL": probability, ...} with labels of the task, or leave `scores` out'
        raise _wrong_field(row, "scores", f"in a recorded answer {why}", fix)
    if not is_empty(share) and abs(table.get(text, share) - share) > _EQUAL_SHARES:
        what = "in a recorded answer `probability` is not that of the answer in `scores`"
        raise _wrong_field(row, "probability", what, "leave one of the two out")


def _answer_text(row: RawRow) -> str:
    value = row.fields.get("answer", row.fields.get("output"))
    return "" if is_empty(value) else as_text(value)


def _label_table(row: RawRow) -> dict[str, float] | None:
    """Return the probabilities of a row by label, that of its answer included; None without any."""
    share, scores = (row.fields.get(key) for key in PROBABILITY_KEYS)
    own = {} if is_empty(share) else {_answer_text(row): share}
    return {**own, **(scores or {})} or None


def _wrong_field(row: RawRow, key: str, what: str, fix: str) -> DataError:
    got = json.dumps(row.fields[key], ensure_ascii=False)
    return DataError(what, where=f"{row.where} {key}", got=got[:180], fix=fix)


def _first_key_text(row: RawRow) -> str:
    key = "id" if row.fields.get("id") is not None else "input"
    return f"first {key}: {row.fields.get(key)}"


def _repeated_answer(rows: Sequence[RawRow], case: Case) -> Answer:
    first, *others = (_make_answer(row, case) for row in rows)
    return first.model_copy(update={"repeats": tuple(others)}) if others else first


def _make_answer(row: RawRow, case: Case) -> Answer:
    if not (text := _answer_text(row)):
        return Answer.missing(case.id, "null")
    plain = {
        key: row.fields[key] for key in (*_MAX_VALUES, "finish") if row.fields.get(key) is not None
    }
    return Answer(case=case.id, text=text, labels=_label_table(row), **plain)


Grades = Mapping[tuple[str, str], float]
"""(case id, answer stripped of outer whitespace) -> grade: 1 as good as the gold answer or better,
0 worse, .5 undecided; the mean if several humans graded one answer."""
_GRADE_FORM = '{"id": a row\'s id, "answer": the text that was graded, "grade": 0, 0.5 or 1}'


def read_grades(path: Path) -> dict[tuple[str, str], float]:
    """Return the human grades in a file. Raises DataError for the first invalid line."""
    grades_of: dict[tuple[str, str], list[float]] = defaultdict(list)
    for raw in read_records(path, path.name):
        if isinstance(raw, RowFault):
            raise DataError(raw.why, where=raw.where, got=raw.got, fix=raw.fix)
        name, answer, grade = (raw.fields.get(key) for key in ("id", "answer", "grade"))
        number = _grade_number(grade)
        if name in (None, "") or not isinstance(answer, str) or number is None:
            got = ", ".join(f"{key}: {str(value)[:40]}" for key, value in raw.fields.items())
            raise DataError(
                "this is no grade", where=raw.where, got=got, fix=f"write {_GRADE_FORM}"
            )
        grades_of[str(name), answer.strip()].append(number)
    return {key: sum(grades) / len(grades) for key, grades in grades_of.items()}


def _grade_number(value: object) -> float | None:
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None
