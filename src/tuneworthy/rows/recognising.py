"""Recognise a file by its content: the form of the file, and its format or its columns' roles."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow, RowFault
from tuneworthy.rows.column_roles import (
    Roles,
    propose_roles,
    refuse_undecided,
    suggest_options,
)
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.importers import Format, formats
from tuneworthy.rows.rows import as_text
from tuneworthy.rows.table import Table, open_table
from tuneworthy.rows.table_columns import (
    INPUTS,
    OUTPUTS,
    Choice,
    check_header,
    columns_of,
    has_parts,
    joined_input,
    likely_mark,
    name_rank,
    part_of,
    system_name,
    value_of,
    words_of,
)

# Forms of a file that are read without import.
_OWN_FORMS = {"json_lines", "table"}
_ROLE_NAMES = {"input": "input", "output": "right answer"}
_GOLD_NAMES = {"gold", "golden", "truth", "label", "labels", "labelled", "expected", "reference",
         "correct", "human", "right"}  # fmt: skip
_ANSWER_NAMES = {
    "response", "completion", "reply", "generated", "generation", "prediction", "predicted",
}  # fmt: skip
_EITHER_NAMES = {"answer", "output"}
# Share of the shorter sample found in the other, from which both are one set of rows.
_SAME_ROWS_SHARE = 0.5
# Share of the shared inputs with different answers, from which two files disagree.
_OTHER_ANSWER_SHARE = 0.05
AskForColumns = Callable[[Roles, Mapping[str, str]], Choice | None]
"""Called with the proposed roles ("" if no column fits) and a value of each column; returns the
user's choice, None to keep the proposal."""


@dataclass(frozen=True)
class RecognisedFile:
    """A recognised file: its table, and the format of its records or the roles of its columns.

    `own`: it needs no import, unless records are left out. `right` maps inputs to right answers in
    its first records (only for one of several tables). `mark` may separate several labels in a
    right answer; the column `split` says train and test.
    """

    table: Table
    format: Format | None = None
    roles: Roles | None = None
    at: tuple[str, ...] = ()
    own: bool = False
    right: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""
    split: str = ""

    @property
    def path(self) -> Path:
        """Return the path of the file."""
        return self.table.path

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of its first records, if it is a table; a format's have none."""
        return tuple(columns_of(self.table.head)) if self.roles else ()


def recognise(
    path: Path, choice: Choice, ask: AskForColumns | None = None, several: bool = False
) -> RecognisedFile:
    """Return a file's form and its format or columns' roles; DataError names the nearest format.

    `ask` gets the proposed roles of a table's columns once and may return others, or, if none can
    be proposed, what the columns suggest. `several`: the file is one of several, and a named column
    need not be in each.
    """
    table = open_table(path)
    if not table.known:
        raise DataError(
            "this form of file is not read", where=path.name, got=path.suffix or "no suffix",
            fix="save it as CSV, JSON Lines, Parquet or Excel",
        )  # fmt: skip
    _check_table(table, choice)
    if table.split and not choice.split:
        choice = replace(choice, split=table.split)
    source = format_of(table, choice, several)
    if source is None and (document := table.as_document()) is not table:
        table, source = document, format_of(document, choice, several)
    if source is not None:
        return source
    roles = _roles_of(table, choice, several) if table.head else "input"
    if isinstance(roles, Roles):
        return _with_roles(table, roles, choice, ask, several)
    if table.form_name in _OWN_FORMS and (
        not table.sampled or {"input", "messages"} & table.sampled[0].fields.keys()
    ):
        return RecognisedFile(table, own=True)  # its own reader reports its faults best
    fault = next((one for one in table.sample if isinstance(one, RowFault)), None)
    if fault is not None and not table.sampled:
        raise DataError(fault.why, where=fault.where, got=fault.got, fix=fault.fix, kept="")
    if ask is None or several or not table.head:
        _refuse_file(table, roles, choice)
    chosen = _roles_from_user(ask, table.head, _suggested_roles(table.head, choice))
    if chosen is not None:
        return RecognisedFile(table, None, chosen, table.at)
    _refuse_file(table, roles, choice)


def _with_roles(
    table: Table, roles: Roles, choice: Choice, ask: AskForColumns | None, several: bool
) -> RecognisedFile:
    """Return a table as recognised, with the proposed roles of its columns or the user's choice."""
    own = _reads_as_it_is(table, roles, choice)
    if ask is not None and not own:
        roles = _roles_from_user(ask, table.head, roles) or roles
        own = _reads_as_it_is(table, roles, choice)
    elif ask is None and roles.undecided:
        named = zip(("input", "output", "present"), (roles.input, *roles.undecided), strict=True)
        options = " ".join(f'--{role} "{name}"' for role, name in named)
        file = shlex.quote(table.path.name)
        refuse_undecided(roles, file, f"name both, as: tuneworthy init {file} {options}")
    rights = [value_of(row, roles.output) for row in table.head] if roles.output else []
    names = dict.fromkeys(key for row in table.head for key in row if key not in roles.used)
    parts = (name for name in names if has_parts([row.get(name) for row in table.head]))
    return RecognisedFile(table, None, roles, table.at, own,
                          _right_answers(table.head, roles) if several else {},
                          likely_mark(rights), next(parts, ""))  # fmt: skip


def _roles_from_user(
    ask: AskForColumns, table: Sequence[Mapping[str, Any]], roles: Roles
) -> Roles | None:
    """Return the roles that the user chooses; None if the user keeps the proposed ones."""
    other = ask(roles, _column_examples(table))
    chosen = propose_roles(table, other) if other else None
    return chosen if isinstance(chosen, Roles) else None


def _suggested_roles(table: Sequence[Mapping[str, Any]], choice: Choice) -> Roles:
    """Return the roles that a table's values suggest; "" for a role that they leave open."""
    found = {role: name for role, name in suggest_options(table, choice).items() if name != "COL"}
    asked, right = choice.input or found.get("input", ""), choice.output or ""
    return Roles(asked, right, {"present": choice.present} if choice.present else {})


def _column_examples(table: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return a value of each column of a table, by column name, cut to 40 characters."""
    found: dict[str, str] = {}
    for name in columns_of(table):
        values = (value_of(row, name) for row in table[:20])
        text = next((as_text(one) for one in values if one not in (None, "")), "")
        found[name] = quoted(text, 40)
    return found


def _check_table(table: Table, choice: Choice) -> None:
    """Raise DataError for a table without rows or without a header."""
    if table.form_name != "table":
        return
    if not table.sample:
        with table.path.open("rb") as file:
            head = file.readline(400).decode("utf-8-sig", "replace").strip()
        raise DataError("the file has a header and no rows", where=table.path.name, got=head[:180],
                        fix="write a row a line below the header", kept="")  # fmt: skip
    if not choice.names_any:
        check_header(table.path.name, table.head)


def format_of(table: Table, choice: Choice, several: bool) -> RecognisedFile | None:
    """Return the file as one of a known format; None if none fits or its columns are named."""
    records = table.sampled
    columns = {key for record in records for key in record.fields}
    choice = choice.in_file_spelling(sorted(columns))
    if {choice.input, *choice.answers.values()} & columns or choice.output in columns:
        return None
    counts = {name: sum(map(one.fits, records)) for name, one in formats().items()}
    best = max(counts, key=lambda name: (counts[name], name))
    found = formats()[best]
    if not counts[best] or _is_minority(found, records):
        return None
    named = (choice.input, *choice.answers.values(), choice.group, choice.time)
    if (column := next(filter(None, named), None)) and not several:
        what = "its form fixes this column" if column in columns else "no column has this name"
        raise TaskError(f"{what}; the file was read as {found.name}",
                        where=table.path.name, got=column,
                        fix=f"there are: {', '.join(sorted(columns))}", kept="")  # fmt: skip
    at = next(record.at for record in records if found.fits(record))
    own = table.form_name == "json_lines" and best == "openai_chat" and not choice.names_any
    return RecognisedFile(table, found, at=at, own=own)


def foreign_rows(
    source: RecognisedFile,
    notes: dict[str, Any],
    leave_out: Callable[[str, str, RowFault | None], None],
) -> Iterator[tuple[str, ImportedRow]]:
    """Yield (place, row) for each row of a file of a known format.

    `leave_out` gets the reason and the place of each record that makes none, with its fault if it
    can't be read. `notes` has the file's "path" and takes what holds for the whole file.
    """
    found, split = source.format, source.table.split
    assert found is not None
    if found.learn:
        found.learn(list(filter(found.fits, source.table.sampled)), notes)
    for record in source.table.records():
        if isinstance(record, RowFault):
            leave_out(record.why, record.where, record)
        elif found.fits(record):
            try:
                part = part_of(record.fields.get(split)) if split else ""
                for row in found.rows(record, notes):
                    yield record.where, replace(row, part=part) if part else row
            except BadRow as error:
                leave_out(str(error.args[0]), record.where, None)
        elif found.note is not None and record.at != source.at:
            found.note(record, notes)
        elif record.at == source.at:
            lacks = ", ".join(need for need in found.needs if not _has_field(record, need))
            why = f"not as {found.name} are" + (f": no {lacks}" if lacks else "")
            leave_out(why, record.where, None)


def _is_minority(found: Format, records: Sequence[RawRow]) -> bool:
    """Return whether a format's records are outnumbered by rows with the usual column names."""
    fitting = [record for record in records if found.fits(record)]
    others = [record.fields for record in records
              if record.at == fitting[0].at and not found.fits(record)]  # fmt: skip
    if len(others) <= len(fitting):
        return False
    roles = propose_roles(others, Choice())
    if not isinstance(roles, Roles):
        return False
    return None not in (name_rank(roles.input, INPUTS), name_rank(roles.output, OUTPUTS))


def _roles_of(table: Table, choice: Choice, several: bool) -> Roles | str:
    """Return the columns' roles, or as a text the role that no column fits: "input" or "output".

    `several`: the right answers may be in another file.
    """
    if not several:
        try:
            return propose_roles(table.head, choice)
        except TaskError as error:
            error.where = table.path.name
            raise
    columns = columns_of(table.head)
    mine = choice.in_file_spelling(columns).within(columns)
    return propose_roles(table.head, mine, elsewhere=bool(choice.output and not mine.output))


def _right_answers(table: Sequence[Mapping[str, Any]], roles: Roles) -> dict[str, str]:
    """Return a table's right answers by normalised input."""
    return {
        normalised_text(as_text(asked)): as_text(right)
        for row in table
        if (asked := joined_input(row, roles.inputs)) not in (None, "")
        and (right := value_of(row, roles.output)) not in (None, "")
    }


def _reads_as_it_is(table: Table, roles: Roles, choice: Choice) -> bool:
    """Return whether a file can be read without import: usual column names, UTF-8, no systems."""
    usual = (roles.input, roles.output) == ("input", "output") and not choice.names_any
    if not usual or roles.systems or roles.alternatives or roles.id or not table.is_plain:
        return False
    keys = {"input", "messages"}
    return table.form_name == "table" or all(keys & one.fields.keys() for one in table.sampled)


def _refuse_file(table: Table, missing: str, choice: Choice) -> NoReturn:
    """Raise DataError that names the nearest format of an unrecognised file, and what it lacks."""
    near, lacks = _nearest_format(table.sampled)
    options = suggest_options(table.head, choice).items()
    named = " ".join(f"--{role} {shlex.quote(name)}" for role, name in options)
    own = shlex.quote(table.path.name)
    fix = f"name the columns, as: tuneworthy init {own} {named}"
    if missing == "output":
        fix += f"; or add the file that has right answers: tuneworthy init {own} GOLD"
    if near:
        fix += f"; the nearest format is {near}, which also needs {', '.join(lacks)}"
    raise DataError(
        f"no column of this file looks like the {_ROLE_NAMES[missing]}", where=table.path.name,
        got=", ".join(columns_of(table.head))[:180] or "no record", fix=fix,
    )  # fmt: skip


def _nearest_format(records: Sequence[RawRow]) -> tuple[str, list[str]]:
    """Return the name of the format most of whose fields a record has, and the missing fields."""
    best: tuple[float, str, list[str]] = (0.0, "", [])
    for one in formats().values():
        for record in records[:20]:
            lacks = [need for need in one.needs if not _has_field(record, need)]
            share = 1 - len(lacks) / len(one.needs)
            if lacks and share > best[0]:
                best = (share, one.name, lacks)
    return best[1], best[2]


def _has_field(record: RawRow, need: str) -> bool:
    """Return whether a record has a field; `a.b` is the field `b` of an object `a`."""
    value: Any = record.fields
    for key in need.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return key in record.at
        value = value[key]
    return True


# Several files.


def with_one_gold_file(files: Sequence[RecognisedFile]) -> list[RecognisedFile]:
    """Return the files such that only one of them has the right answers to the same inputs.

    The names of files and columns decide which; the answers of the others become a system's. Raises
    DataError if two files answer the same inputs differently and nothing decides.
    """
    able = [one for one in files if one.roles and one.roles.output]
    best = max((_gold_likelihood(one) for one in able), default=(0, 0))
    golds = [one for one in able if _gold_likelihood(one) == best]
    for at, one in enumerate(golds):
        for other in golds[at + 1 :]:
            if _disagree(one, other):
                _refuse_undecided(one, other)
    return [_as_system(one, golds) if one in able and one not in golds else one for one in files]


def _gold_likelihood(one: RecognisedFile) -> tuple[int, int]:
    """Return a key that sorts files by how likely they hold right answers: file name, column."""
    words = set(words_of(_right_column(one)))
    column = 0 if words & _ANSWER_NAMES else 1 if words & _EITHER_NAMES else 2
    return len(_GOLD_NAMES & set(words_of(one.path.stem))), column


def _shared_inputs(one: RecognisedFile, other: RecognisedFile) -> set[str]:
    """Return the inputs shared by two files, none if too few for both to be one set of rows."""
    found = one.right.keys() & other.right.keys()
    enough = len(found) >= _SAME_ROWS_SHARE * min(len(one.right), len(other.right))
    return set(found) if enough else set()


def _disagree(one: RecognisedFile, other: RecognisedFile) -> bool:
    shared = _shared_inputs(one, other)
    different = sum(one.right[text] != other.right[text] for text in shared)
    return different > _OTHER_ANSWER_SHARE * len(shared)


def _right_column(one: RecognisedFile) -> str:
    return one.roles.output if one.roles else ""


def _as_system(one: RecognisedFile, golds: Sequence[RecognisedFile]) -> RecognisedFile:
    """Return a table as a system's log if it shares the inputs of a gold file, else unchanged.

    The system has the file's name. A copy of the right answers beside a system's is left out.
    """
    shared = [gold for gold in golds if _shared_inputs(one, gold)]
    if one.roles is None or not shared:
        return one
    name, systems = system_name(one.path.stem), dict(one.roles.systems)
    if not systems or _disagree(one, shared[0]):
        systems[name] = one.roles.output
    elif list(systems) == ["present"]:
        systems = {name: systems["present"]}
    roles = replace(one.roles, output="", systems=systems, alternatives=False)
    return replace(one, roles=roles)


def _refuse_undecided(one: RecognisedFile, other: RecognisedFile) -> None:
    raise DataError(
        "two files answer the same inputs differently, and nothing says which is right",
        where=[one.path.name, other.path.name],
        got=f"`{_right_column(one)}` and `{_right_column(other)}`",
        fix=f"name the file of right answers alone and the other as a system: tuneworthy init"
        f" {one.path.name} --answers NAME={other.path.name}:{_right_column(other)}",
        kept="",
    )
