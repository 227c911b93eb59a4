"""Read right answers and the answers of two systems for a comparison, whatever their form.

A file of another tool is read by its format, any other by its columns (`compared_roles.py`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuneworthy.records.counting import with_verb
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.column_roles import Roles, answers_of, propose_roles, row_of
from tuneworthy.rows.compared_roles import (
    Side,
    column_notes,
    columns_by_side,
    gold_roles,
    log_roles,
)
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.rows import MOST_ID_CHARACTERS, as_text, id_text
from tuneworthy.rows.table import open_rows
from tuneworthy.rows.table_columns import Choice, is_empty, raise_no_column, value_of
from tuneworthy.rows.tool_exports import Records, read_export

GOLD, SYSTEMS = "gold", ("A", "B")


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


def compared_files(gold: Path, logs: Mapping[str, Path], named: Choice) -> ComparedFiles:
    """Return the files' records under the usual names, as they are if they have them already.

    `logs` has the files by side, A or B; a side that is asked has none. `named` has the columns
    that the user named, each as `COLUMN` of all files or one of each side, as
    `A.COLUMN,B.COLUMN,gold.COLUMN`; `present` is the answers' in both logs. Raises TaskError for a
    named side or column that is not there, DataError where no column can be the input, the right
    answer or the answer.
    """
    rows, *read = files = [_read_side(GOLD, gold, named),
                           *(_read_side(name, path, named) for name, path in logs.items())
                           ]  # fmt: skip
    if named.present and any(side.export for side in read):  # it names their systems
        columns = ",".join(f"{side.name}.{column}" for side in read if not side.export
                           and (column := _named_for(side.name, named.present)))  # fmt: skip
        named = replace(named, present=columns or None)
    own = columns_by_side(named, rows, read)
    roles = gold_roles(rows, own[rows.name])
    found, key = log_roles(rows, read, roles, own)
    records: Records = [one if isinstance(one, RowFault) else _gold_record(one, roles, key)
                        for one in rows.records]  # fmt: skip
    merged, several = _with_several_answers(records)
    notes = [note for side in files if side.export
             for note in side.export.notes("right answers" if side is rows else
                                           f"answers of {side.name}")]  # fmt: skip
    if several:
        text = f"{with_verb(several, 'id', 'have')} several rows: each of their answers is right"
        notes.append(f"{quoted(gold.name, 60)}: {text}")
    return ComparedFiles(
        gold=merged,
        unlabelled=rows.export.unlabelled if rows.export else 0,
        logs=tuple(list(one.renamed(log.records, log.table.has_cells, "--answer-column"))
                   for one, log in zip(found, read, strict=True)),
        notes=(*notes, *column_notes(roles, found, key)),
        exported=rows.export is not None,
    )  # fmt: skip


def right_answers_file(files: Sequence[Path]) -> Path | None:
    """Return the first file that is an export with right answers, None if none is."""
    return next((path for path in files if read_export(path, gold=True)), None)


def _named_for(side: str, text: str | None) -> str:
    """Return the part of an option that is for a side: `A.NAME` for `A`, a name alone for all."""
    parts = [part.strip().partition(".") for part in (text or "").split(",")]
    mine = next((name for other, _, name in parts if other == side and name), "")
    other = any(each in (GOLD, *SYSTEMS) and name for each, _, name in parts)
    return mine or ("" if other else text or "")


def _read_side(name: str, path: Path, named: Choice) -> Side:
    """Return a file of one side; the export of another tool unless the user named a column of it.

    Raises DataError for a file without a row, or with several systems none of which is named.
    """
    gold = name == GOLD
    texts = (named.id, named.input, named.output if gold else named.present)
    columns = {_named_for(name, text) for text in texts}
    system = "" if gold else _named_for(name, named.present)
    export = read_export(path, columns, gold, system, f"--answer-column {name}.{{}}")
    side = Side(name, export.table if export else open_rows(path), export)
    _refuse_without_rows(side)
    return side


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


def _with_several_answers(records: Records) -> tuple[Records, int]:
    """Return (the gold records, those of one id and input as one; how many have other answers).

    Only if at least half of the ids have several rows: else another answer to an id is a conflict,
    which counts as a bad row.
    """
    rows_of = defaultdict[tuple[str, str], list[RawRow]](list)
    for one in records:
        if isinstance(one, RawRow) and (name := id_text(one.fields.get("id"))):
            text = as_text(one.fields.get("input") or one.fields.get("messages") or "")
            rows_of[name, normalised_text(text)].append(one)
    several = {id(rows[0]): rows for rows in rows_of.values() if len(rows) > 1}
    if 2 * len(several) < len(rows_of):
        faults = {id(row): fault for rows in several.values() for row in rows[1:]
                  if (fault := _conflict(rows[0], row))}  # fmt: skip
        return [faults.get(id(one), one) for one in records], 0
    later = {id(row) for rows in several.values() for row in rows[1:]}
    merged = {key: _merged(rows) for key, rows in several.items()}
    kept = [merged.get(id(one), one) for one in records if id(one) not in later]
    outputs = ({as_text(row.fields.get("output")) for row in rows} for rows in several.values())
    return kept, sum(len(texts) > 1 for texts in outputs)


def _conflict(first: RawRow, row: RawRow) -> RowFault | None:
    """Return the fault of a second gold row of an id with another right answer, else None."""
    one, other = (as_text(each.fields.get("output")) for each in (first, row))
    if one == other:
        return None
    both = json.dumps([one, other], ensure_ascii=False)
    return RowFault(row.where, "another right answer to an id of an earlier row",
                    f"{quoted(other, 60)}, and {quoted(one, 60)} at {first.where}",
                    f"remove one; if both are right, write them as a list in one row: {both[:200]}",
                    id=str(row.fields.get("id")))  # fmt: skip


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
