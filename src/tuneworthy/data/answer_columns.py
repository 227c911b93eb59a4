"""Read a CSV file with right answers and the answers of two systems in columns of any name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case
from tuneworthy.core.errors import DataError, TaskError
from tuneworthy.data.column_choice import column_like
from tuneworthy.data.csv_rows import delimiter_of, read_table
from tuneworthy.data.lines import check_text_file, text_encoding
from tuneworthy.data.raw import RawRow, RowFault, likely_name
from tuneworthy.data.rows import to_case

_KEPT_COLUMNS = ("group", "accepted")


@dataclass(frozen=True)
class ColumnNames:
    """The columns of two systems' answers, of the right answers and the input (None: inferred)."""

    first: str
    second: str
    right: str
    input: str | None = None

    def in_file_spelling(self, columns: Sequence[str]) -> ColumnNames:
        """Return the names in the spelling of the file's columns (see `column_like`)."""
        mine = (self.first, self.second, self.right)
        first, second, right = (column_like(name, columns) for name in mine)
        return ColumnNames(first, second, right, column_like(self.input, columns))


@dataclass(frozen=True)
class AnswerTable:
    """The rows with a right answer, and both systems' answers in the same order.

    `input` is the column taken as the input, "" where there is none; `unlabelled` counts the rows
    without a right answer, which are left out.
    """

    cases: tuple[Case, ...]
    first: tuple[Answer, ...]
    second: tuple[Answer, ...]
    input: str = ""
    unlabelled: int = 0


def read_answer_table(path: Path, columns: ColumnNames) -> AnswerTable:
    """Return the rows of a CSV file with the answers of two systems in columns.

    The separator is a comma, a semicolon or a tab, the encoding UTF-8 or Windows-1252. An empty
    answer counts as a failed one. Other columns become `meta`. Raises TaskError for a column that
    is not there, and DataError for an unreadable row or a file without rows.
    """
    shown = str(path)
    skip = check_text_file(path, shown)
    names: list[str] = []

    def checked(cells: list[str]) -> list[str]:
        names.extend(cell.strip() for cell in cells)
        _check_column_names(names, columns.in_file_spelling(names), shown)
        return names

    found = read_table(path, shown, skip, delimiter_of(path), checked, text_encoding(path))
    rows = list(map(_row_or_raise, found))
    if not names:  # an empty file
        _check_column_names(names, columns, shown)
    columns = columns.in_file_spelling(names)
    input_column = columns.input or _input_column(names, columns, [row.fields for row in rows])
    labelled = [row for row in rows if str(row.fields.get(columns.right, "")).strip()]
    if not labelled:
        raise DataError(
            "no row has a right answer", where=f"{shown}, column `{columns.right}`",
            got=f"{len(rows):,} rows", fix="name the column of right answers: --gold-column COL",
            kept="your file",
        )  # fmt: skip
    cases = tuple(_labelled_cases(labelled, columns, input_column, shown))
    first, second = (
        tuple(
            _make_answer(case.id, row.fields.get(name, ""))
            for case, row in zip(cases, labelled, strict=True)
        )
        for name in (columns.first, columns.second)
    )
    return AnswerTable(cases, first, second, input_column, len(rows) - len(labelled))


def _row_or_raise(row: RawRow | RowFault) -> RawRow:
    if isinstance(row, RowFault):
        raise DataError(row.why, where=row.where, got=row.got, fix=row.fix,
                        kept="your file")  # fmt: skip
    return row


def _check_column_names(names: Sequence[str], columns: ColumnNames, shown: str) -> None:
    options = {"--a": columns.first, "--b": columns.second, "--gold-column": columns.right,
               "--input-column": columns.input}  # fmt: skip
    for option, name in options.items():
        if name is not None and name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`? " if near else ""
            raise TaskError(
                "the file has no column of this name", where=f"{shown} {option}", got=name,
                fix=f"{hint}there are: {', '.join(names) or 'none'}", kept="your file",
            )  # fmt: skip
    if columns.first == columns.second:
        raise TaskError("both systems name one column", where=f"{shown} --a and --b",
                        got=columns.first, fix="name two columns", kept="your file")  # fmt: skip
    for option in ("--a", "--b"):
        if options[option] == columns.right:
            raise TaskError(
                "the column of right answers stands for a system too", where=f"{shown} {option}",
                got=columns.right, fix="name the column of what the system answered",
                kept="your file",
            )  # fmt: skip


def _input_column(
    names: Sequence[str], columns: ColumnNames, rows: Sequence[Mapping[str, Any]]
) -> str:
    """Return the column that is most likely the input: by its name, else the longest text."""
    others = [n for n in names if n and n not in (columns.first, columns.second, columns.right)]
    if "input" in others:
        return "input"
    if named := likely_name(others, "input"):
        return named
    lengths = {name: sum(len(row.get(name, "")) for row in rows) for name in others}
    return max(others, key=lambda name: lengths[name], default="")


def _labelled_cases(
    rows: Sequence[RawRow], columns: ColumnNames, input_column: str, shown: str
) -> Iterator[Case]:
    ids = [row.fields.get("id", "").strip() for row in rows]
    own = all(ids) and len(set(ids)) == len(ids)
    used = {columns.first, columns.second, columns.right, input_column, "id", *_KEPT_COLUMNS}
    for row, name in zip(rows, ids, strict=True):
        line = row.where.rpartition(":")[2]
        fields: dict[str, Any] = {
            "id": name if own else f"{Path(shown).name[-150:]}:{line}",
            "input": row.fields.get(input_column, "").strip() or f"row {line}",
            "output": row.fields[columns.right],
            "meta": {key: value for key, value in row.fields.items() if key not in used},
        }
        fields |= {key: row.fields[key] for key in _KEPT_COLUMNS if key in row.fields}
        case = to_case(RawRow(row.where, fields))
        if isinstance(case, RowFault):
            raise DataError(case.why, where=case.place(), got=case.got, fix=case.fix,
                            kept="your file")  # fmt: skip
        yield case


def _make_answer(case: str, cell: str) -> Answer:
    if not cell.strip():
        return Answer.missing(case, "null")
    return Answer(case=case, text=cell)
