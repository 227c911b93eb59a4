"""Find what the columns of a comparison's files are: id, input, right answer, answers.

A column that the user named wins; rows are matched by a column with the ids of the gold rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import RawRow
from tuneworthy.rows.column_roles import Roles, propose_roles, refuse_undecided
from tuneworthy.rows.log_roles import (
    ANSWER_NAMES,
    LogRoles,
    answer_column,
    repeat_column,
)
from tuneworthy.rows.measures import measured_columns
from tuneworthy.rows.rows import as_text, key_text
from tuneworthy.rows.table import Table
from tuneworthy.rows.table_columns import (
    Choice,
    column_like,
    inner_columns,
    is_key_name,
    raise_no_column,
    value_of,
)
from tuneworthy.rows.tool_exports import Export, Records

_LEAST_OVERLAP = 0.5  # least share of a log's values that the column of the gold rows has too
_LEAST_FILLED = 0.5  # least share of a file's rows that have an id, for a column to be theirs
_LOG_ANSWER_NAMES = (*ANSWER_NAMES, "result", "content", "text", "ergebnis")


@dataclass(frozen=True)
class Side:
    """A file of a comparison, by its name there: `gold`, `A` or `B`; `export` of another tool."""

    name: str
    table: Table
    export: Export | None = None

    @property
    def path(self) -> Path:
        """Return the path of the file."""
        return self.table.path

    @cached_property
    def records(self) -> Records:
        """Return all records and faults of the file."""
        return list(self.table.rows()) if self.export is None else self.export.records

    @cached_property
    def rows(self) -> list[RawRow]:
        """Return the records that can be read."""
        return [row for row in self.records if isinstance(row, RawRow)]

    @cached_property
    def columns(self) -> list[str]:
        """Return the columns, and the fields of objects as `column.field`."""
        own = self.table.columns
        return [*own, *(name for name in inner_columns(self.table.head, set()) if name not in own)]

    def ids(self, name: str) -> list[str]:
        """Return the values of a column that can be ids, as text."""
        found = (key_text(value_of(row.fields, name)) for row in self.rows)
        return [value for value in found if value is not None]


def columns_by_side(named: Choice, gold: Side, logs: Sequence[Side]) -> dict[str, Choice]:
    """Return {side: the columns that the user named in its file}, as the file spells them.

    Raises TaskError for a side or a column that is not there.
    """
    sides = [gold, *logs]
    wanted = {
        "id": ("--id-column", named.id, sides, True),
        "input": ("--input-column", named.input, sides, False),
        "output": ("--gold-column", named.output, [gold], False),
        "present": ("--answer-column", named.present, logs, False),
    }
    found = {key: _named_columns(*one) for key, one in wanted.items()}
    return {
        name: Choice(found["input"].get(name), found["output"].get(name),
                     found["present"].get(name), id=found["id"].get(name))
        for name in (side.name for side in sides)
    }  # fmt: skip


def _named_columns(
    option: str, text: str | None, sides: Sequence[Side], everywhere: bool
) -> dict[str, str]:
    """Return {side: column} of an option: one name for all files, or `A.NAME,gold.NAME`.

    `everywhere`: a name for all files must be in each; else files that lack it are read without it.
    """
    if text is None:
        return {}
    by_name = {side.name: side for side in sides}
    parts = [part.strip().partition(".") for part in text.split(",")]
    named = len(parts) > 1 or parts[0][0] in by_name
    having = {side.name: column for side in sides
              if (column := column_like(text, side.columns)) in side.columns}  # fmt: skip
    if having or not named:
        lacking = [side for side in sides if side.name not in having]
        if lacking and (everywhere or not having):
            each = ",".join(f"{side.name}.COLUMN" for side in sides)
            way = f"; each file its own: {option} {each}" if len(sides) > 1 else ""
            raise_no_column(text, lacking[0].columns, f"{lacking[0].path} {option}", way)
        return having
    found = {}
    if unknown := next((name for name, _, _ in parts if name not in by_name), None):
        raise TaskError("no file of the comparison has this name", where=option, got=unknown,
                        fix=f"there are: {', '.join(by_name)}; write SIDE.COLUMN,SIDE.COLUMN",
                        kept="your files")  # fmt: skip
    for name, _, column in parts:
        columns = by_name[name].columns
        found[name] = column_like(column, columns)
        if found[name] not in columns:
            raise_no_column(column, columns, f"{by_name[name].path} {option}")
    return found


def gold_roles(gold: Side, named: Choice) -> Roles:
    """Return the column roles of the file of right answers; chat rows keep their messages."""
    columns = gold.columns
    asked = named.input or ("input" if "input" in columns else None)
    right = named.output or ("output" if "output" in columns else None)
    if "messages" in columns and not named.input:
        return Roles("messages", right or "output", {})
    found = propose_roles(gold.table.head, Choice(input=asked, output=right))
    if isinstance(found, str):
        what = "the input" if found == "input" else "the right answer"
        option = "--input-column" if found == "input" else "--gold-column"
        raise DataError(
            f"no column of the right answers' file is {what}", where=str(gold.path),
            got=", ".join(columns), fix=f"name it: {option} COLUMN", kept="your files",
        )  # fmt: skip
    if found.undecided:
        refuse_undecided(found, str(gold.path), "name it: --gold-column COLUMN")
    return replace(found, systems={})


def log_roles(
    gold: Side, logs: Sequence[Side], roles: Roles, named: Mapping[str, Choice]
) -> tuple[list[LogRoles], str]:
    """Return the columns of each log, and the id column of the gold rows, "" for none.

    `named` has the columns that the user named, by side.
    """
    found = [LogRoles(_log_answer(log, named[log.name], roles)) for log in logs]
    taken = {roles.input, roles.output, *(one.answer for one in found)}
    key, keys = _id_columns(gold, logs, named, taken, roles.input)
    return [
        replace(one, id=own, input=_log_input(log, gold, roles, named, one.answer),
                measured=measured_columns(log.table.columns),
                repeat=repeat_column(log.table.columns))
        for one, own, log in zip(found, keys, logs, strict=True)
    ], key  # fmt: skip


def _log_answer(log: Side, named: Choice, gold: Roles) -> str:
    """Return the column of a log that holds its answers."""
    if named.present:
        return named.present
    columns = log.table.columns
    free = [name for name in columns if name not in {gold.input, named.id, named.input}]
    others = [name for name in free if name != gold.output]
    if gold.output not in ANSWER_NAMES or set(others) & set(ANSWER_NAMES):
        free = others  # a log that repeats the right answer beside its own
    ask = f"--answer-column {log.name}.COLUMN"
    if found := answer_column(log.table, free, _LOG_ANSWER_NAMES, ask=ask):
        return found
    raise DataError(
        "no column of the log is known to hold its answers", where=str(log.path),
        got=", ".join(columns), fix=f"name it: {ask}", kept="your files",
    )  # fmt: skip


def _id_columns(
    gold: Side, logs: Sequence[Side], named: Mapping[str, Choice], taken: set[str], asked: str
) -> tuple[str, list[str]]:
    """Return the id column of the gold rows, and that of each log; "" where none is shared.

    A column named by the user counts as it is. Else it names the gold rows, most rows of each
    file have a value, and at least half of a log's values (or of the gold rows') stand in
    both.
    """
    mine = [named[side.name].id for side in logs]
    if (key := named[gold.name].id) and all(mine):
        return key, [str(name) for name in mine]
    free = [key] if key else [name for name in gold.table.columns if name not in taken
                              and _names_rows(gold, name, asked)]  # fmt: skip
    for name in sorted(free, key=lambda each: (each != "id", not is_key_name(each))):
        known = set(gold.ids(name))
        found = [own or _shared_id_column(log, name, known, taken)
                 for own, log in zip(mine, logs, strict=True)]  # fmt: skip
        if all(found):
            return name, found
    if key or any(mine):
        lacking = next(side for side in (gold, *logs) if not named[side.name].id)
        raise DataError(
            "no column has the ids of the other files", where=str(lacking.path),
            got=", ".join(lacking.columns), fix=f"name it: --id-column {lacking.name}.COLUMN beside"
            " the one that you named, parted by a comma", kept="your files",
        )  # fmt: skip
    return "", [""] * len(logs)


def _names_rows(gold: Side, name: str, asked: str) -> bool:
    """Return whether a column names the gold rows: most have a value, and equal ones are one row.

    In a column that is called a key, rows of one id and one input are one row: each holds a right
    answer, or one is a mistake. `asked` is the column of the input.
    """
    found = [(key, as_text(value_of(row.fields, asked))) for row in gold.rows
             if (key := key_text(value_of(row.fields, name))) is not None]  # fmt: skip
    ids = {key for key, _ in found}
    whole = len(ids) == len(found) or (is_key_name(name) and len(ids) == len({*found}))
    return whole and len(found) >= _LEAST_FILLED * len(gold.rows)


def _shared_id_column(log: Side, name: str, known: set[str], taken: set[str]) -> str:
    """Return the column of a log with these ids, by the same name or an id's name; or "".

    Raises DataError if several columns have these ids as often, none of them of the same name.
    """
    columns = log.table.columns
    like = [each for each in columns if is_key_name(each) and each != name]
    shares: dict[str, float] = {}
    for column in [name, *like] if is_key_name(name) else [name]:
        values = log.ids(column) if column in columns and column not in taken else []
        if values and len(values) >= _LEAST_FILLED * len(log.rows):
            shared = sum(value in known for value in values) / len(values)
            shares[column] = max(shared, len(known.intersection(values)) / len(known))
    most = max(shares.values(), default=0.0)
    best = [column for column, share in shares.items() if share == most >= _LEAST_OVERLAP]
    if len(best) > 1 and name not in best:
        raise DataError(
            "several columns of a log have the ids of the right answers",
            where=log.path.name, got=", ".join(best),
            fix=f"name the one that is meant: --id-column {log.name}.{best[0]}", kept="your files",
        )  # fmt: skip
    return name if name in best else next(iter(best), "")


def _log_input(
    log: Side, gold: Side, roles: Roles, named: Mapping[str, Choice], answer: str
) -> str:
    """Return the column of a log with the inputs of the gold rows, "" if it has none.

    A column that the user did not name must hold the same texts, not whole prompts. The gold rows
    may be a part of the logged ones, or the other way round.
    """
    columns = [name for name in log.table.columns if name != answer]
    if asked := named[log.name].input:
        return asked
    known = {str(value_of(row.fields, roles.input)).strip() for row in gold.rows}
    for name in dict.fromkeys(("input", roles.input, *columns)):
        texts = {str(row.fields[name]).strip() for row in log.rows if row.fields.get(name)}
        least = _LEAST_OVERLAP * min(len(known), len(log.rows))
        if name in columns and len(texts & known) >= max(1.0, least):
            return name
    return "input" if "input" in columns else ""


def column_notes(roles: Roles, logs: Sequence[LogRoles], key: str) -> Iterator[str]:
    """Yield the sentences on columns that were read under names of their own."""
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
    names = dict.fromkeys(name for name in (*(each.id for each in logs), key) if name)
    if logs and set(names) - {"id"}:
        listed = " and ".join(f"`{quoted(name, 40)}`" for name in names)
        yield f"rows are matched by {listed}"
