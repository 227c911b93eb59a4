"""Read right answers and the answers of two systems for a comparison, whatever their columns.

Rows are matched by a column that all files share and that is unique in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.column_roles import Roles, answers_of, propose_roles, refuse_undecided, row_of
from tuneworthy.rows.log_roles import (
    ANSWER_NAMES,
    LogRoles,
    answer_column,
    measured_columns,
    tool_log_roles,
)
from tuneworthy.rows.rows import MOST_ID_CHARACTERS, id_text
from tuneworthy.rows.table import Table, open_rows
from tuneworthy.rows.table_columns import (
    Choice,
    column_like,
    is_empty,
    is_key_name,
    raise_no_column,
    value_of,
)

_LEAST_OVERLAP = 0.5  # least share of a log's values that the column of the gold rows has too
_LOG_ANSWER_NAMES = (*ANSWER_NAMES, "result", "content", "text", "ergebnis")
Records = list[RawRow | RowFault]


@dataclass(frozen=True)
class ComparedFiles:
    """Gold records and both logs under the usual names; `notes` say which columns were read.

    `unlabelled` counts the rows without a right answer, which are left out.
    """

    gold: Records
    logs: tuple[Records, ...]
    notes: tuple[str, ...]
    unlabelled: int = 0


@dataclass(frozen=True)
class _Side:
    """A file with all of its records."""

    table: Table

    @property
    def path(self) -> Path:
        return self.table.path

    @cached_property
    def records(self) -> Records:
        return list(self.table.rows())

    @cached_property
    def rows(self) -> list[RawRow]:
        return [row for row in self.records if isinstance(row, RawRow)]

    def values(self, name: str) -> list[str]:
        """Return the values of a column that can be ids, as text."""
        found = (id_text(row.fields.get(name)) for row in self.rows)
        return [value for value in found if value is not None]

    def is_unique(self, name: str) -> bool:
        """Return whether a column names each row, or each answer beside its number of a repeat."""
        values = self.values(name)
        if len(values) != len(self.rows):
            return False
        again = [str(row.fields.get("repeat", "")) for row in self.rows]
        return len(set(zip(values, again, strict=True))) == len(values)


def compared_files(gold: Path, logs: Sequence[Path], named: Choice) -> ComparedFiles:
    """Return the files' records under the usual names, as they are if they have them already.

    `named` has the columns that the user named; `present` is the answer's in both logs. Raises
    TaskError for a named column that is not there, DataError where no column can be the input, the
    right answer or the answer.
    """
    rows, *read = sides = [_Side(open_rows(path)) for path in (gold, *logs)]
    for side in sides:
        _refuse_without_rows(side)
    _check_named(rows, read, named)
    roles = _gold_roles(rows.table, named.in_file_spelling(rows.table.columns))
    found = [tool_log_roles(log.table) or LogRoles(_log_answer(log.table, named, roles))
             for log in read]  # fmt: skip
    ids = _id_columns(rows, read, named, {roles.input, roles.output, *(x.answer for x in found)})
    found = [
        replace(one, id=one.id or key, input=_log_input(log, rows, roles, named, one.answer),
                measured=one.measured or measured_columns(log.table.columns))
        for one, key, log in zip(found, ids[1:], read, strict=True)
    ]  # fmt: skip
    return ComparedFiles(
        gold=[one if isinstance(one, RowFault) else _gold_record(one, roles, ids[0])
              for one in rows.records],
        logs=tuple(list(one.renamed(log.records, log.table.has_cells, "--answer-column"))
                   for one, log in zip(found, read, strict=True)),
        notes=tuple(_column_notes(roles, found)),
    )  # fmt: skip


def compared_columns(path: Path, named: Choice) -> ComparedFiles:
    """Return the rows of one table with right answers, and the two columns of answers as logs.

    An empty answer counts as a failed one. Rows without a usable id of their own are named by their
    place. Raises TaskError for a column that is not there, and DataError for a file without rows or
    right answers.
    """
    _check_pair(path, named)
    side = _Side(open_rows(path))
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


def _refuse_without_rows(side: _Side) -> None:
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


# Roles.


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


def _check_named(gold: _Side, logs: Sequence[_Side], named: Choice) -> None:
    """Raise TaskError if a column option names a column that its files lack."""
    wanted = {
        "--id-column": (named.id, [gold, *logs]),
        "--input-column": (named.input, [gold, *logs]),
        "--gold-column": (named.output, [gold]),
        "--answer-column": (named.present, logs),
    }
    for option, (name, sides) in wanted.items():
        tables = [side.table for side in sides]
        lacking = [table for table in tables
                   if name is not None and column_like(name, table.columns) not in table.columns
                   ]  # fmt: skip
        if name and lacking and (option == "--id-column" or len(lacking) == len(tables)):
            raise_no_column(name, lacking[0].columns, f"{lacking[0].path} {option}")


def _gold_roles(table: Table, named: Choice) -> Roles:
    """Return the column roles of the file of right answers; chat rows keep their messages."""
    columns = table.columns
    asked = named.input if named.input in columns else "input" if "input" in columns else None
    right = named.output or ("output" if "output" in columns else None)
    if "messages" in columns and named.input not in columns:
        return Roles("messages", right or "output", {})
    found = propose_roles(table.head, Choice(input=asked, output=right))
    if isinstance(found, str):
        what = "the input" if found == "input" else "the right answer"
        option = "--input-column" if found == "input" else "--gold-column"
        raise DataError(
            f"no column of the right answers' file is {what}", where=str(table.path),
            got=", ".join(columns), fix=f"name it: {option} COLUMN", kept="your files",
        )  # fmt: skip
    if found.undecided:
        refuse_undecided(found, str(table.path), "name it: --gold-column COLUMN")
    return replace(found, systems={})


def _log_answer(table: Table, named: Choice, gold: Roles) -> str:
    """Return the column of a log that holds its answers."""
    columns = table.columns
    named = named.in_file_spelling(columns)
    if named.present in columns:
        return str(named.present)
    taken = {gold.input, named.id, named.input}
    free = [name for name in columns if name not in taken]
    others = [name for name in free if name != gold.output]
    if gold.output not in ANSWER_NAMES or set(others) & set(ANSWER_NAMES):
        free = others  # a log that repeats the right answer beside its own
    if found := answer_column(table, free, _LOG_ANSWER_NAMES, ask="--answer-column COLUMN"):
        return found
    raise DataError(
        "no column of the log is known to hold its answers", where=str(table.path),
        got=", ".join(columns), fix="name it: --answer-column COLUMN", kept="your files",
    )  # fmt: skip


def _id_columns(
    gold: _Side, logs: Sequence[_Side], named: Choice, taken: set[str]
) -> tuple[str, ...]:
    """Return the id column of the gold rows and of each log; "" where none is shared.

    A column named by the user counts as it is; else it is unique in every file, and at least half
    of a log's values stand in that of the gold rows.
    """
    if named.id:
        return tuple(column_like(named.id, side.table.columns) for side in (gold, *logs))
    free = [name for name in gold.table.columns if name not in taken and gold.is_unique(name)]
    for name in sorted(free, key=lambda each: (each != "id", not is_key_name(each))):
        known = set(gold.values(name))
        found = [_shared_id_column(log, name, known, taken) for log in logs]
        if all(found):
            return name, *found
    return ("",) * (len(logs) + 1)


def _shared_id_column(log: _Side, name: str, known: set[str], taken: set[str]) -> str:
    """Return the column of a log with these ids, by the same name or an id's name; or "".

    Raises DataError if several columns have these ids as often, none of them of the same name.
    """
    columns = log.table.columns
    like = [each for each in columns if is_key_name(each) and each != name]
    shares: dict[str, float] = {}
    for column in [name, *like] if is_key_name(name) else [name]:
        if column in columns and column not in taken and log.is_unique(column):
            values = log.values(column)
            shares[column] = sum(value in known for value in values) / max(len(values), 1)
    most = max(shares.values(), default=0.0)
    best = [column for column, share in shares.items() if share == most >= _LEAST_OVERLAP]
    if len(best) > 1 and name not in best:
        raise DataError(
            "several columns of a log have the ids of the right answers",
            where=log.path.name, got=", ".join(best),
            fix=f"call the one that is meant `{quoted(name, 40)}`, as the right answers do",
        )  # fmt: skip
    return name if name in best else next(iter(best), "")


def _log_input(log: _Side, gold: _Side, roles: Roles, named: Choice, answer: str) -> str:
    """Return the column of a log with the inputs of the gold rows, "" if it has none.

    A column that the user did not name must hold the same texts, not whole prompts.
    """
    columns = [name for name in log.table.columns if name != answer]
    asked = column_like(named.input, columns)
    if asked in columns:
        return str(asked)
    known = {str(value_of(row.fields, roles.input)).strip() for row in gold.rows}
    for name in dict.fromkeys(("input", roles.input, *columns)):
        texts = [str(row.fields[name]).strip() for row in log.rows if row.fields.get(name)]
        if name in columns and sum(t in known for t in texts) >= _LEAST_OVERLAP * len(log.rows):
            return name
    return "input" if "input" in columns else ""


def _gold_record(record: RawRow, roles: Roles, key: str) -> RawRow:
    own = record.fields
    if roles.input == "messages":
        fields = {name: value for name, value in own.items() if name != roles.output}
        fields |= {"output": own[roles.output]} if roles.output in own else {}
    else:
        fields = row_of(own, replace(roles, id=key or roles.id))
    if (name := id_text(own.get(key))) is not None:
        fields["id"] = name
    return RawRow(record.where, fields)


def _column_notes(roles: Roles, logs: Sequence[LogRoles]) -> Iterator[str]:
    """Yield one sentence on the columns that were read under names of their own."""
    parts = []
    if roles.input not in ("input", "messages"):
        parts.append(f"the input from `{quoted(roles.input, 40)}`")
    if roles.output != "output":
        parts.append(f"the right answer from `{quoted(roles.output, 40)}`")
    answers = dict.fromkeys(each.answer for each in logs)
    if set(answers) - {"answer"}:
        listed = " and ".join(f"`{quoted(name, 40)}`" for name in answers)
        parts.append(f"the answers from {listed}")
    if parts:
        yield f"read by their column names: {', '.join(parts)}"
    if logs and logs[0].id not in ("", "id"):
        yield f"rows are matched by `{quoted(logs[0].id, 40)}`"
