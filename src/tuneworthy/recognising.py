"""Recognise a file by its content: the form of the file, and its format or its columns' roles."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from tuneworthy.core.errors import DataError, TaskError
from tuneworthy.core.escape import quoted
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.data.column_choice import Choice
from tuneworthy.data.column_roles import (
    Roles,
    are_named,
    columns_of,
    propose_roles,
    suggest_options,
)
from tuneworthy.data.column_values import check_header, value_of
from tuneworthy.data.copies import normalised_text
from tuneworthy.data.csv_rows import DELIMITER_OF, delimiter_of
from tuneworthy.data.lines import WINDOWS_ENCODING, check_text_file, text_encoding
from tuneworthy.data.raw import RawRow, RowFault
from tuneworthy.data.row_parts import has_parts, joined_input, likely_mark
from tuneworthy.data.rows import as_text

_SAMPLED_RECORDS = 1_000  # a file is recognised by its first records
_HEAD_BYTES = 65_536
# Forms of a file that are read without import.
_OWN_FORMS = {"json_lines", "table"}
_ROLE_NAMES = {"input": "input", "output": "right answer"}
AskForColumns = Callable[[Roles, Mapping[str, str]], Choice | None]
"""Called with the proposed roles ("" if no column fits) and a value of each column; returns the
user's choice, None to keep the proposal."""


@dataclass(frozen=True)
class RecognisedFile:
    """A recognised file: the form of the file, and the format or the roles of its columns.

    `own`: it needs no import, unless records are left out. `columns` are the columns of its first
    records, and `right` their right answers by input (only for one of several tables). `mark` may
    separate several labels in a right answer; the column `split` says train and test.
    """

    path: Path
    container: str
    importer: ModuleType | None = None
    roles: Roles | None = None
    at: tuple[str, ...] = ()
    own: bool = False
    columns: tuple[str, ...] = ()
    right: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""
    split: str = ""


def recognise(
    path: Path, choice: Choice, ask: AskForColumns | None = None, several: bool = False
) -> RecognisedFile:
    """Return a file's form and its format or columns' roles; DataError names the nearest format.

    `ask` gets the proposed roles of a table's columns once and may return others, or, if none can
    be proposed, what the columns suggest. `several`: the file is one of several, and a named column
    need not be in each.
    """
    forms = _possible_forms(path)
    nearest: list[RawRow] = []
    missing, ours, broken, form_of = "input", None, None, ""
    for name, form in forms:
        found = list(islice(form.records(path), _SAMPLED_RECORDS))
        records = [one for one in found if isinstance(one, RawRow)]
        _check_table(path, name, found, choice)
        source = _format_of(path, name, records, choice, several)
        if source is not None:
            return source
        if name == "json_lines" and len(records) == 1 and _is_document(records[0].fields):
            continue
        at, table = _longest_list(records)
        roles = _roles_of(path, table, choice, several) if table else "input"
        if isinstance(roles, Roles):
            own = _reads_as_it_is(name, path, roles, choice, records)
            if ask is not None and not own:
                roles = _roles_from_user(ask, table, roles) or roles
                own = _reads_as_it_is(name, path, roles, choice, records)
            elif ask is None and roles.undecided:
                _refuse_ambiguous_answer(path, roles)
            right = _right_answers(table, roles) if several else {}
            mark, split = _label_separator(table, roles), _split_column(table, roles)
            return RecognisedFile(path, name, None, roles, at, own, tuple(columns_of(table)),
                                  right, mark, split)  # fmt: skip
        if not nearest:
            nearest, form_of = records, name
        missing = roles
        broken = broken or next((one for one in found if isinstance(one, RowFault)), None)
        if name in _OWN_FORMS and (not records or {"input", "messages"} & set(records[0].fields)):
            ours = ours or RecognisedFile(
                path, name, own=True
            )  # its own reader reports its faults best
    if ours is not None:
        return ours
    if broken is not None and not nearest:
        raise DataError(broken.why, where=broken.where, got=broken.got, fix=broken.fix, kept="")
    if ask is not None and nearest and not several:
        at, table = _longest_list(nearest)
        if chosen := _roles_from_user(ask, table, _suggested_roles(table, choice)):
            return RecognisedFile(path, form_of, None, chosen, at, False, tuple(columns_of(table)))
    _refuse_file(path, nearest, missing, choice if forms else None)


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


def _possible_forms(path: Path) -> list[tuple[str, ModuleType]]:
    """Return (name, module) of each form that a file may have, the likeliest first."""
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    found = [(name, load("containers", name)) for name in catalogue("containers")]
    found = [(name, form) for name, form in found if form.opens(path, head)]
    return sorted(found, key=lambda pair: getattr(pair[1], "ORDER", 9))


def _check_table(path: Path, name: str, found: Sequence[RawRow | RowFault], choice: Choice) -> None:
    """Raise DataError for a table without rows or without a header."""
    if name != "table":
        return
    if not found:
        with path.open("rb") as file:
            head = file.readline(400).decode("utf-8-sig", "replace").strip()
        raise DataError("the file has a header and no rows", where=path.name, got=head[:180],
                        fix="write a row a line below the header", kept="")  # fmt: skip
    if not choice.names_any:
        check_header(path.name, [one.fields for one in found if isinstance(one, RawRow)])


def _format_of(
    path: Path, name: str, records: Sequence[RawRow], choice: Choice, several: bool
) -> RecognisedFile | None:
    """Return the file as one of a known format; None if none fits or its columns are named."""
    columns = {key for record in records for key in record.fields}
    choice = choice.in_file_spelling(sorted(columns))
    if {choice.input, *choice.answers.values()} & columns or choice.output in columns:
        return None
    best: tuple[int, str] = (0, "")
    for importer in catalogue("importers"):
        module = load("importers", importer)
        best = max(best, (sum(map(module.fits, records)), importer))
    if best[0] == 0:
        return None
    module = load("importers", best[1])
    if _is_minority(module, records):
        return None
    if (choice.input or choice.answers) and not several:
        column = choice.input or next(iter(choice.answers.values()))
        raise TaskError(f"no column has this name; the file was read as {module.FORMAT}",
                        where=path.name, got=column, fix=f"there are: {', '.join(sorted(columns))}",
                        kept="")  # fmt: skip
    at = next(record.at for record in records if module.fits(record))
    own = name == "json_lines" and best[1] == "openai_chat" and not choice.names_any
    return RecognisedFile(path, name, module, at=at, own=own)


def _is_minority(module: ModuleType, records: Sequence[RawRow]) -> bool:
    """Return whether a format's records are outnumbered by rows with the usual column names."""
    fitting = [record for record in records if module.fits(record)]
    others = [record.fields for record in records
              if record.at == fitting[0].at and not module.fits(record)]  # fmt: skip
    if len(others) <= len(fitting):
        return False
    roles = propose_roles(others, Choice())
    return isinstance(roles, Roles) and are_named(roles)


def _longest_list(
    records: Sequence[RawRow],
) -> tuple[tuple[str, ...], list[Mapping[str, Any]]]:
    """Return the path and the records of a document's longest list (ties: the first)."""
    counts = Counter(record.at for record in records)
    at = max(counts, key=lambda one: counts[one], default=())
    return at, [record.fields for record in records if record.at == at]


def _is_document(value: Mapping[str, Any]) -> bool:
    """Return whether an object holds lists of records: a whole document on one line."""
    return any(
        isinstance(one, dict) or (isinstance(one, list) and one and isinstance(one[0], dict))
        for one in value.values()
    )


def _roles_of(
    path: Path, table: Sequence[Mapping[str, Any]], choice: Choice, several: bool
) -> Roles | str:
    """Return the roles of a file's columns, or the name of the role that no column fits.

    `several`: the right answers may be in another file.
    """
    if not several:
        try:
            return propose_roles(table, choice)
        except TaskError as error:
            error.where = path.name
            raise
    columns = columns_of(table)
    mine = choice.in_file_spelling(columns).within(columns)
    return propose_roles(table, mine, elsewhere=bool(choice.output and not mine.output))


def _right_answers(table: Sequence[Mapping[str, Any]], roles: Roles) -> dict[str, str]:
    """Return a table's right answers by normalised input."""
    return {
        normalised_text(as_text(asked)): as_text(right)
        for row in table
        if (asked := joined_input(row, roles.inputs)) not in (None, "")
        and (right := value_of(row, roles.output)) not in (None, "")
    }


def _label_separator(table: Sequence[Mapping[str, Any]], roles: Roles) -> str:
    """Return the mark that may separate several labels in a right answer; "" if none does."""
    return likely_mark([value_of(row, roles.output) for row in table]) if roles.output else ""


def _split_column(table: Sequence[Mapping[str, Any]], roles: Roles) -> str:
    """Return the name of the unused column whose values are train and test; "" if there is none."""
    names = dict.fromkeys(key for row in table for key in row if key not in roles.used)
    return next((name for name in names if has_parts([row.get(name) for row in table])), "")


def _reads_as_it_is(
    name: str, path: Path, roles: Roles, choice: Choice, records: Sequence[RawRow]
) -> bool:
    """Return whether a file can be read without import: usual column names, UTF-8, no systems."""
    plain = (roles.input, roles.output) == ("input", "output") and not choice.names_any
    plain = plain and not roles.systems and not roles.alternatives and not roles.id
    if not plain or text_encoding(path) == WINDOWS_ENCODING:
        return False
    if name == "json_lines":
        return all({"input", "messages"} & record.fields.keys() for record in records)
    mark = DELIMITER_OF.get(path.suffix.lower())
    table = name == "table" and mark is not None and mark == delimiter_of(path)
    return table


def _refuse_ambiguous_answer(path: Path, roles: Roles) -> NoReturn:
    """Raise DataError: two columns mostly agree, and the user must say which is right."""
    right, present = roles.undecided
    named = {"input": roles.input, "output": right, "present": present}
    options = " ".join(f'--{role} "{name}"' for role, name in named.items())
    raise DataError(
        "two columns mostly agree, and either may be the right answer", where=path.name,
        got=f"{right}, {present}", kept="",
        fix=f"name both, as: tuneworthy init {shlex.quote(path.name)} {options}",
    )  # fmt: skip


def _refuse_file(
    path: Path, records: Sequence[RawRow], missing: str, choice: Choice | None
) -> NoReturn:
    """Raise DataError that names the nearest format of an unrecognised file, and what it lacks.

    `choice` has the columns that the user named; None for a file of no known form.
    """
    if choice is None:
        check_text_file(path, path.name)  # raises for a folder, a compressed or an empty file
        raise DataError(
            "this form of file is not read", where=path.name, got=path.suffix or "no suffix",
            fix="save it as CSV, JSON Lines, Parquet or Excel",
        )  # fmt: skip
    table = _longest_list(records)[1]
    columns = columns_of(table)
    near, lacks = _nearest_format(records)
    named = " ".join(
        f"--{role} {shlex.quote(name)}" for role, name in suggest_options(table, choice).items()
    )
    fix = f"name the columns, as: tuneworthy init {shlex.quote(path.name)} {named}"
    if missing == "output":
        own = shlex.quote(path.name)
        fix += f"; or add the file that has right answers: tuneworthy init {own} GOLD"
    if near:
        fix += f"; the nearest format is {near}, which also needs {', '.join(lacks)}"
    raise DataError(
        f"no column of this file looks like the {_ROLE_NAMES[missing]}",
        where=path.name, got=", ".join(columns)[:180] or "no record", fix=fix,
    )  # fmt: skip


def _nearest_format(records: Sequence[RawRow]) -> tuple[str, list[str]]:
    """Return the name of the format most of whose fields a record has, and the missing fields."""
    best: tuple[float, str, list[str]] = (0.0, "", [])
    for name in catalogue("importers") if records else ():
        module = load("importers", name)
        for record in records[:20]:
            lacks = [need for need in module.NEEDS if not has_field(record, need)]
            share = 1 - len(lacks) / len(module.NEEDS)
            if lacks and share > best[0]:
                best = (share, module.FORMAT, lacks)
    return best[1], best[2]


def has_field(record: RawRow, need: str) -> bool:
    """Return whether a record has a field; `a.b` is the field `b` of an object `a`."""
    value: Any = record.fields
    for key in need.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return key in record.at
        value = value[key]
    return True
