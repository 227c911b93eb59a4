"""Read right answers and the answers of two systems for a comparison, whatever their form.

A file of another tool is read by its format, any other by its columns (`compared_roles.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import ImportedRow, RawRow, RowFault
from tuneworthy.rows.column_roles import Roles, answers_of, propose_roles, row_of
from tuneworthy.rows.compared_roles import (
    Records,
    Side,
    column_notes,
    columns_by_side,
    gold_roles,
    log_roles,
)
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.import_files import input_of
from tuneworthy.rows.recognising import foreign_rows, format_of
from tuneworthy.rows.rows import MOST_ID_CHARACTERS, as_text, id_text
from tuneworthy.rows.table import Table, open_rows
from tuneworthy.rows.table_columns import Choice, is_empty, raise_no_column, value_of

GOLD, SYSTEMS = "gold", ("A", "B")
_OWN_FORMATS = {"OpenAI chat rows"}  # read by their columns, as a task's rows are


@dataclass(frozen=True)
class ComparedFiles:
    """Gold records and both logs under the usual names; `notes` say how the files were read.

    `unlabelled` counts the rows without a right answer, which are left out. `exported`: the right
    answers are those of another tool's export, which may hold the answers of a system too.
    """

    gold: Records
    logs: tuple[Records, ...]
    notes: tuple[str, ...]
    unlabelled: int = 0
    exported: bool = False


def compared_files(gold: Path, logs: Sequence[Path], named: Choice) -> ComparedFiles:
    """Return the files' records under the usual names, as they are if they have them already.

    `named` has the columns that the user named, each as `COLUMN` of all files or one of each side,
    as `A.COLUMN,B.COLUMN,gold.COLUMN`; `present` is the answers' in both logs. Raises TaskError for
    a named side or column that is not there, DataError where no column can be the input, the right
    answer or the answer.
    """
    systems = dict(zip(SYSTEMS, logs, strict=True))
    wanted = _wanted_systems(named.present)
    files = [_read_side(GOLD, gold), *(_read_side(name, path, wanted.get(name, wanted.get("")))
                                       for name, path in systems.items())]  # fmt: skip
    if any(side.exported for side in files[1:]) and named.present:
        named = replace(named, present=None)  # it names a system, which is read alone
    rows, *read = files
    own = columns_by_side(named, rows, read)
    roles = gold_roles(rows, own[rows.name])
    found, key = log_roles(rows, read, roles, own)
    records: Records = [one if isinstance(one, RowFault) else _gold_record(one, roles, key)
                        for one in rows.records]  # fmt: skip
    merged = _with_several_answers(records)
    notes = [note for side in files for note in side.notes]
    if len(merged) < len(records):
        text = "rows of one id hold several right answers: each of them counts"
        notes.append(f"{quoted(gold.name, 60)}: {text}")
    return ComparedFiles(
        gold=merged,
        logs=tuple(list(one.renamed(log.records, log.table.has_cells, "--answer-column"))
                   for one, log in zip(found, read, strict=True)),
        notes=(*notes, *column_notes(roles, found, key)),
        exported=rows.exported,
    )  # fmt: skip


def _wanted_systems(text: str | None) -> dict[str, str]:
    """Return {side: the system of an export}, "" for both sides, by `--answer-column`."""
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        side, _, name = part.strip().partition(".")
        found |= {side: name} if side in SYSTEMS and name else {"": part.strip()}
    return found


def _read_side(name: str, path: Path, system: str | None = None) -> Side:
    """Return a file of one side; the export of another tool under the usual names.

    An export counts as one if its records hold what the side needs: right answers, or answers. Of
    several systems `system` is read. Raises DataError for a file without a row, or with several
    systems none of which is named.
    """
    table = open_rows(path)
    side = Side(name, table)
    source = format_of(table, Choice(), several=True)
    if source is None and (document := table.as_document()) is not table:
        source = format_of(document, Choice(), several=True)
    if source is None or source.format is None or source.format.name in _OWN_FORMATS:
        _refuse_without_rows(side)
        return side
    left: dict[str, tuple[int, str]] = {}  # {reason: how many, the first place}
    records: Records = []

    def leave_out(why: str, where: str, fault: RowFault | None) -> None:
        if fault is not None:
            records.append(fault)
        else:
            count, first = left.get(why, (0, where))
            left[why] = count + 1, first

    rows = list(foreign_rows(source, {"path": path}, leave_out))
    if name == GOLD:
        records += [RawRow(where, _gold_fields(row)) for where, row in rows
                    if "output" in row.fields or "messages" in row.fields]  # fmt: skip
        used = any("output" in row.fields for _, row in rows)
    else:
        records += _answers_of_system(path, rows, system)
        used = any(row.answers for _, row in rows)
    if not used:
        _refuse_without_rows(side)
        return side
    notes = [f"{quoted(path.name, 60)} is read as {source.format.name}"]
    notes += [f"{count_noun(count, 'record')} left out: {why} (first {first})"
              for why, (count, first) in left.items()]  # fmt: skip
    return Side(name, Table(path, "json_lines", tuple(records[:1_000])), records, tuple(notes))


def _gold_fields(row: ImportedRow) -> dict[str, Any]:
    fields = {key: value for key, value in row.fields.items() if value is not None}
    return {"id": row.key, **fields} if row.key else fields


def _answers_of_system(
    path: Path, rows: Sequence[tuple[str, ImportedRow]], system: str | None
) -> Records:
    """Return the answers of an export's only system, or of the one that is named."""
    names = list(dict.fromkeys(name for _, row in rows for name in row.answers))
    if system not in names and len(names) > 1:
        listed = ", ".join(f"`{quoted(name, 40)}`" for name in names)
        raise DataError("the file holds the answers of several systems", where=str(path),
                        got=listed, fix=f"name one: --answer-column A.{names[0]},B.{names[1]}",
                        kept="your files")  # fmt: skip
    name = system if system in names else next(iter(names), "")
    found: Records = []
    for where, row in rows:
        if name in row.answers:
            fields = {key: value for key, value in _gold_fields(row).items() if key == "id"}
            again = {"repeat": row.repeat} if row.repeat > 1 else {}
            asked = {"input": input_of(row.fields)} if input_of(row.fields) else {}
            found.append(RawRow(where, {**fields, **asked, **again, **row.answers[name]}))
    return found


def _gold_record(record: RawRow, roles: Roles, key: str) -> RawRow:
    own = record.fields
    if roles.input == "messages":
        fields = {name: value for name, value in own.items() if name != roles.output}
        fields |= {"output": own[roles.output]} if roles.output in own else {}
    else:
        fields = row_of(own, replace(roles, id=key or roles.id))
    if (name := id_text(value_of(own, key))) is not None:
        fields["id"] = name
    return RawRow(record.where, fields)


def _with_several_answers(records: Records) -> Records:
    """Return the gold records, those of one id and input as one: each of their answers is right.

    Only if at least half of the ids have several rows: else a second row of an id is a conflict,
    which the reader of the rows tells.
    """
    rows_of = defaultdict[tuple[str, str], list[RawRow]](list)
    for one in records:
        if isinstance(one, RawRow) and (name := id_text(one.fields.get("id"))):
            text = as_text(one.fields.get("input") or one.fields.get("messages") or "")
            rows_of[name, normalised_text(text)].append(one)
    several = {id(rows[0]): rows for rows in rows_of.values() if len(rows) > 1}
    if not several or 2 * len(several) < len(rows_of):
        return records
    later = {id(row) for rows in several.values() for row in rows[1:]}
    return [_merged(several[id(one)]) if id(one) in several else one
            for one in records if id(one) not in later]  # fmt: skip


def _merged(rows: Sequence[RawRow]) -> RawRow:
    first = rows[0]
    texts = [as_text(one) for row in rows
             for one in (row.fields.get("output"), *(row.fields.get("accepted") or ()))
             if one not in (None, "")]  # fmt: skip
    right, *more = dict.fromkeys(texts) or [None]
    return RawRow(first.where, {**first.fields, "output": right, "accepted": more})


def compared_columns(path: Path, named: Choice) -> ComparedFiles:
    """Return the rows of one table with right answers, and the two columns of answers as logs.

    An empty answer counts as a failed one. Rows without a usable id of their own are named by their
    place. Raises TaskError for a column that is not there, and DataError for a file without rows or
    right answers.
    """
    _check_pair(path, named)
    side = Side("", open_rows(path))
    _refuse_without_rows(side)
    columns = side.table.columns
    named = named.in_file_spelling(columns)
    wanted = {**named.answers, "gold-column": named.output, "input-column": named.input,
              "id-column": named.id}  # fmt: skip
    for option, name in wanted.items():
        if name is not None and name not in columns:
            raise_no_column(name, columns, f"{path} --{option}")
    _check_pair(path, named)
    right = str(named.output)
    labelled = [row for row in side.rows if not is_empty(row.fields.get(right))]
    if not labelled:
        raise DataError("no row has a right answer", where=f"{path}, column `{right}`",
                        got=f"{len(side.rows):,} rows", kept="your file",
                        fix="name the column of right answers: --gold-column COL")  # fmt: skip
    empty = dict.fromkeys(columns, "")
    roles = propose_roles([{**empty, **row} for row in side.table.head], named)
    if isinstance(roles, str):
        roles = Roles("", right, dict(named.answers))
    gold: Records = [one for one in side.records if isinstance(one, RowFault)]
    logs: tuple[Records, ...] = tuple([] for _ in roles.systems)
    keys = [id_text(row.fields.get(named.id or roles.id or "id")) or "" for row in labelled]
    numbered = len(set(keys)) == len(keys) and all(0 < len(k) <= MOST_ID_CHARACTERS for k in keys)
    for row, key in zip(labelled, keys, strict=True):
        line = row.where.rpartition(":")[2]
        fields = row_of(row.fields, roles)
        fields["input"] = fields["input"] or f"row {line}"
        fields["id"] = key if numbered else f"{path.name[-150:]}:{line}"
        gold.append(RawRow(row.where, fields))
        for log, said in zip(logs, answers_of(row.fields, roles, cells=True).values(), strict=True):
            log.append(RawRow(row.where, {"id": fields["id"], **said}))
    note = f"the input is taken from column `{quoted(roles.input, 40)}`"
    if not roles.input:
        note = "no column is left for the input: rows are shown by their number"
    return ComparedFiles(gold, logs, (note,), len(side.rows) - len(labelled))


def _refuse_without_rows(side: Side) -> None:
    """Raise DataError for a file without a row that can be read, with its first fault."""
    if side.rows:
        return
    fault = next((one for one in side.records if isinstance(one, RowFault)), None)
    if fault is None:
        raise DataError("the file has no row", where=str(side.path), fix="write the rows into it",
                        got="blank lines or a header", kept="your files")  # fmt: skip
    where = f"{side.path}{fault.where.removeprefix(side.path.name)}"
    raise DataError(f"no row of the file can be read: {fault.why}", where=where, got=fault.got,
                    fix=fault.fix, kept="your files")  # fmt: skip


def _check_pair(path: Path, named: Choice) -> None:
    """Raise TaskError if one column stands for two systems, or for one and the right answers."""
    (_, first), (_, second) = named.answers.items()
    if first == second:
        raise TaskError("both systems name one column", where=f"{path} --a and --b",
                        got=first, fix="name two columns", kept="your file")  # fmt: skip
    for option, name in named.answers.items():
        if name == named.output:
            raise TaskError(
                "the column of right answers stands for a system too", where=f"{path} --{option}",
                got=name, fix="name the column of what the system answered", kept="your file",
            )  # fmt: skip
