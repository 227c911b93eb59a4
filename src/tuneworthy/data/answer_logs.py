"""Find the id, input and answer columns of a file of recorded answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import DataError
from tuneworthy.data.column_choice import Choice, column_like, raise_no_column
from tuneworthy.data.column_roles import columns_of, propose_roles
from tuneworthy.data.column_values import is_id, value_of
from tuneworthy.data.csv_rows import DELIMITER_OF, delimiter_of
from tuneworthy.data.lines import WINDOWS_ENCODING, text_encoding
from tuneworthy.data.log_measures import LOG_NAMES, measured_columns, measured_values
from tuneworthy.data.own_records import ANSWER_NAMES, is_rewritten, named_column, own_records
from tuneworthy.data.raw import RawRow, ReadCount, RowFault

_LOOKED_ROWS = 1_000
_ANSWER_KEYS = ("answer", "output")
_AMBIGUOUS_KEYS = {"output"}  # may be the right answer of a row as well as a system's answer
_KEPT_KEYS = ("seconds", "usd", "tokens_in", "tokens_out", "finish", "input", "id")


@dataclass(frozen=True)
class AnswerLog:
    """A file of recorded answers and the columns to read.

    `columns` maps `answer`, `id`, `input` and measured values to the file's own columns. It is
    empty if the file has our names and is read as it is.
    """

    path: Path
    columns: Mapping[str, str]

    def summary(self) -> str:
        """Return a sentence on the columns that are read."""
        taken = ", ".join(f"{role} `{name}`" for role, name in self.columns.items())
        lacks = "" if {"id", "input"} & self.columns.keys() else (
            "; it has neither an id nor an input, so nothing says which row an answer belongs to:"
            " call its ids `id`, or write `match: order` where each row has its answer, in order"
        )  # fmt: skip
        return f"{self.path.name}: {taken}{lacks}"


def find_answer_columns(place: str, choice: Choice) -> AnswerLog:
    """Return which columns of a file of recorded answers to read; `place` is FILE or FILE:COLUMN.

    Raises DataError where no column looks like answers, TaskError for a column that is not there.
    """
    path, column = Path(place), ""
    if not path.is_file():
        head, _, tail = place.rpartition(":")
        path, column = (Path(head), tail) if head and Path(head).is_file() else (path, "")
    if not path.is_file():
        return AnswerLog(path, {})  # the draft says that there is no such file
    found = islice(own_records(path), _LOOKED_ROWS)
    sample = [row.fields for row in found if isinstance(row, RawRow)]
    columns = columns_of(sample)
    column = column_like(column, columns)
    if column and column not in columns:
        raise_no_column(column, columns)
    said = next((name for name in _ANSWER_KEYS if name in columns), "")
    measured = measured_columns(columns)
    plain = said and column in ("", said) and not measured and _is_read_unchanged(path, columns)
    if not sample or plain:
        return AnswerLog(path, {})
    taken = {"answer": column or _answer_column(path, sample, columns)} | measured
    others = [name for name in columns if name != taken["answer"]]
    numbered = (name for name in others if is_id(name, [row.get(name) for row in sample]))
    if own := "id" if "id" in others else next(numbered, ""):
        taken["id"] = own
    asked = "input" if "input" in others else _input_column(sample, choice, taken)
    return AnswerLog(path, {**taken, "input": asked} if asked else taken)


def is_answers_only(path: Path) -> bool:
    """Return whether a file is a log of answers by id: it has no inputs, so it has no rows.

    Raises DataError for a file that can't be read as text.
    """
    found = islice(own_records(path), _LOOKED_ROWS)
    sample = [row.fields for row in found if isinstance(row, RawRow)]
    columns = columns_of(sample)
    ids = {name for name in columns if is_id(name, [row.get(name) for row in sample])}
    named = named_column([name for name in columns if name not in _AMBIGUOUS_KEYS], ANSWER_NAMES)
    if not ids:
        return False
    if not named:
        return bool(_only_text_column(sample, columns, ids)) and not _AMBIGUOUS_KEYS & set(columns)
    return isinstance(propose_roles(sample, Choice(output=named)), str)


def _only_text_column(sample: list[dict[str, Any]], columns: list[str], ids: set[str]) -> str:
    """Return the only text column besides the ids, or of several the only one with letters.

    Return "" if there is none, or if another column holds lists or objects (maybe right answers).
    """
    taken = {*ids, *measured_columns(columns).values()}
    values = {name: [row[name] for row in sample if name in row]
              for name in columns if name not in taken}  # fmt: skip
    if any(isinstance(one, list | dict) for found in values.values() for one in found):
        return ""
    able = [name for name, found in values.items() if any(isinstance(one, str) for one in found)]
    if len(able) > 1:
        able = [name for name in able if any(map(str.isalpha, "".join(map(str, values[name]))))]
    return able[0] if len(able) == 1 else ""


def _is_read_unchanged(path: Path, columns: list[str]) -> bool:
    """Return whether a log with our name for answers is read by `check` and `run` as it is."""
    mark = DELIMITER_OF.get(path.suffix.lower())
    alone = (
        len(set(columns) - {*_ANSWER_KEYS, *_KEPT_KEYS}) == 0
    )  # answers in the order of the rows
    keyed = bool({"id", "input"} & set(columns)) or alone
    keyed = keyed and not is_rewritten(path)
    return keyed and text_encoding(path) != WINDOWS_ENCODING and mark in (None, delimiter_of(path))


def _answer_column(path: Path, sample: list[dict[str, Any]], columns: list[str]) -> str:
    if named := named_column(columns, ANSWER_NAMES):
        return named
    ids = {name for name in columns if is_id(name, [row.get(name) for row in sample])}
    if ids and (alone := _only_text_column(sample, columns, ids)):
        return alone
    raise DataError(
        "no column of these recorded answers is called `answer`", where=path.name,
        got=", ".join(columns)[:180], fix=f"name it: --answers NAME={path.name}:COLUMN",
    )  # fmt: skip


def _input_column(
    sample: list[dict[str, Any]], choice: Choice, taken: Mapping[str, str]
) -> str | None:
    """Return the column of inputs: the one that the user named, else the likeliest, else None."""
    asked = column_like(choice.input, columns_of(sample))
    if asked and any(asked in row for row in sample):
        return asked
    roles = propose_roles(sample, Choice(output=taken["answer"]))
    return None if isinstance(roles, str) else roles.input


def answer_lines(log: AnswerLog, most_unread: float) -> Iterator[str]:
    """Yield a log's answers under our field names, one JSON object a line.

    Unreadable records are left out. Raises DataError for more than `most_unread` of them, or where
    the file breaks.
    """
    count = ReadCount()
    for row in own_records(log.path):
        count.add(row if isinstance(row, RowFault) else None)
        if isinstance(row, RawRow):
            fields = {key: row.fields[key] for key in _KEPT_KEYS if key in row.fields}
            fields |= {role: value_of(row.fields, name) for role, name in log.columns.items()
                       if role not in LOG_NAMES}  # fmt: skip
            fields |= measured_values(row.fields, log.columns)
            yield json.dumps(fields, ensure_ascii=False) + "\n"
    count.check(most_unread, "--max-bad")
