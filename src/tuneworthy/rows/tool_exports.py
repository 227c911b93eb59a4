"""Read the exports of other tools under the usual names: logs of answers, or right answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DataError
from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import ImportedRow, RawRow, RowFault
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.import_files import input_of
from tuneworthy.rows.recognising import foreign_rows, format_of
from tuneworthy.rows.rows import MOST_ID_CHARACTERS
from tuneworthy.rows.table import Table, open_rows, open_table
from tuneworthy.rows.table_columns import Choice, column_like, columns_of

_OWN_FORMATS = {"OpenAI chat rows"}  # read by their columns, as a task's rows are
_SAMPLED_RECORDS = 1_000
Records = list[RawRow | RowFault]


class UndecidedColumn(DataError):
    """Two columns or systems of a log may be meant, and only the user knows which is."""


@dataclass(frozen=True)
class Export:
    """The records of another tool's export: answers of a system, or rows with right answers.

    `left_out` maps a reason to the number of its records and the first place; `unlabelled` counts
    rows without a right answer.
    """

    format: str
    table: Table
    records: Records
    left_out: Mapping[str, tuple[int, str]]
    unlabelled: int = 0

    def notes(self, what: str) -> Iterator[str]:
        """Yield sentences on what was read and what was left out."""
        yield f"the {what} are read from {quoted(self.table.path.name, 60)}: {self.format}"
        for why, (count, first) in self.left_out.items():
            yield f"{count_noun(count, 'record')} left out: {why} (first {first})"


def read_export(
    path: Path,
    columns: Collection[str] = (),
    gold: bool = False,
    system: str = "",
    ask: str = "--answer-column A.{}",
) -> Export | None:
    """Return another tool's export; None for another file, and where `columns` names one of it.

    It must hold what is needed: answers, or right answers if `gold`. Of several systems the one
    called `system` is read; without it DataError says how to name one (`ask`, with the place of the
    name).
    """
    table = open_rows(path)
    known = list(dict.fromkeys([*table.columns, *columns_of(table.head)]))
    if any(column_like(name, known) in known for name in columns if name):
        return None
    found = (format_of(one, Choice(), several=True) for one in (open_table(path), table))
    source = next(filter(None, found), None)
    if source is None or source.format is None or source.format.name in _OWN_FORMATS:
        return None
    left: dict[str, tuple[int, str]] = {}
    records: Records = []

    def leave_out(why: str, where: str, fault: RowFault | None) -> None:
        if fault is not None:
            records.append(fault)
        else:
            count, first = left.get(why, (0, where))
            left[why] = count + 1, first

    rows = list(foreign_rows(source, {"path": path}, leave_out))
    made = (
        [RawRow(where, _gold_fields(row)) for where, row in rows if _is_labelled(row)]
        if gold
        else _answers_of_system(path, rows, system, ask)
    )
    if not made:
        return None
    records += made
    shown = Table(path, "json_lines", tuple(records[:_SAMPLED_RECORDS]))
    return Export(source.format.name, shown, records, left, len(rows) - len(made) if gold else 0)


def _is_labelled(row: ImportedRow) -> bool:
    turns = row.fields.get("messages")
    ends = isinstance(turns, list) and bool(turns) and turns[-1].get("role") == "assistant"
    return ends or row.fields.get("output") not in (None, "")


def _gold_fields(row: ImportedRow) -> dict[str, Any]:
    """Return a row's fields; a tool's key of the row is its id, unless it is the input."""
    fields = {key: value for key, value in row.fields.items() if value is not None}
    is_id = 0 < len(row.key) <= MOST_ID_CHARACTERS
    own = is_id and row.key != normalised_text(input_of(fields))
    return {"id": row.key, **fields} if own else fields


def _answers_of_system(
    path: Path, rows: Sequence[tuple[str, ImportedRow]], system: str, ask: str
) -> list[RawRow]:
    """Return the answers of an export's only system, or of the one that is named."""
    names = list(dict.fromkeys(name for _, row in rows for name in row.answers))
    if system not in names and len(names) > 1:
        listed = ", ".join(f"`{quoted(name, 40)}`" for name in names)
        raise UndecidedColumn("the file holds the answers of several systems", where=str(path),
                              got=listed, fix=f"name one: {ask.format(names[0])}",
                              kept="your files")  # fmt: skip
    name = system if system in names else next(iter(names), "")
    found: list[RawRow] = []
    for where, row in rows:
        if name in row.answers:
            fields = {key: value for key, value in _gold_fields(row).items() if key == "id"}
            again = {"repeat": row.repeat} if row.repeat > 1 else {}
            asked = {"input": input_of(row.fields)} if input_of(row.fields) else {}
            found.append(RawRow(where, {**fields, **asked, **again, **row.answers[name]}))
    return found
