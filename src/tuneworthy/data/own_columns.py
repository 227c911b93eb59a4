"""Read right answers and logs with any column names, for a comparison of two logs.

A role goes to the column that the user named, else to the usual name, else by names and values.
Rows are matched by a column that all files share and that is unique in each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from tuneworthy.core.case import Case
from tuneworthy.core.errors import DataError, TaskError
from tuneworthy.core.escape import quoted
from tuneworthy.data.bad_rows import BadRows
from tuneworthy.data.column_choice import Choice, column_like
from tuneworthy.data.column_roles import Roles, propose_roles, row_of
from tuneworthy.data.column_values import is_key_name
from tuneworthy.data.csv_rows import DELIMITER_OF, delimiter_of
from tuneworthy.data.lines import WINDOWS_ENCODING, text_encoding
from tuneworthy.data.own_records import ANSWER_NAMES, is_rewritten, named_column, own_records
from tuneworthy.data.raw import RawRow, RowFault
from tuneworthy.data.rows import to_case

# First records, by which the columns of a file are recognised.
_SAMPLE_RECORDS = 200
_LEAST_OVERLAP = 0.5  # least share of a log's values that the column of the gold rows has too
_LOG_ANSWER_NAMES = (*ANSWER_NAMES, "result", "content", "text", "ergebnis")
_USUAL_NAMES = ("seconds", "usd", "tokens_in", "tokens_out", "finish")

Records = list[RawRow | RowFault]


@dataclass(frozen=True)
class OwnColumns:
    """The columns that the user named: id, input, right answer (gold rows), answer (both logs)."""

    id: str | None = None
    input: str | None = None
    right: str | None = None
    answer: str | None = None

    @property
    def names_any(self) -> bool:
        """Return whether any column is named."""
        return bool(self.id or self.input or self.right or self.answer)

    def in_file_spelling(self, columns: Sequence[str]) -> OwnColumns:
        """Return the names in the spelling of the file's columns (see `column_like`)."""
        mine = (self.id, self.input, self.right, self.answer)
        return OwnColumns(*(column_like(name, columns) for name in mine))


@dataclass(frozen=True)
class RenamedFiles:
    """Gold records and both logs under the usual names; `notes` say which columns were read."""

    gold: Records
    logs: tuple[Records, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    path: Path
    records: Records

    @cached_property
    def rows(self) -> list[RawRow]:
        return [row for row in self.records if isinstance(row, RawRow)]

    @cached_property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(key for row in self.rows[:_SAMPLE_RECORDS] for key in row.fields))


@dataclass(frozen=True)
class _LogRoles:
    """The columns of a log; "" for a role that no column has."""

    id: str
    input: str
    answer: str


def renamed_files(gold: Path, logs: Sequence[Path], own: OwnColumns) -> RenamedFiles | None:
    """Return the files' records under the usual names; None if the files have them already.

    Raises TaskError for a named column that is not there, DataError where no column can be the
    input, the right answer or the answer.
    """
    if not own.names_any and _has_usual_gold_names(gold) and all(map(_has_usual_log_names, logs)):
        return None
    rows, read = (
        _File(gold, list(own_records(gold))),
        [_File(path, list(own_records(path))) for path in logs],
    )
    if not rows.rows:
        return None  # the reader of rows says what is wrong with the file
    for log in read:
        _refuse_unreadable(log)
    _check_named([rows, *read], own)
    roles = _gold_roles(rows, own.in_file_spelling(rows.columns))
    mine = [own.in_file_spelling(log.columns) for log in read]
    answers = [_answer_column(log, each, roles) for log, each in zip(read, mine, strict=True)]
    keys = _id_columns(rows, read, own, {roles.input, roles.output, *answers})
    inputs = [_input_column(log, rows, roles, each, name)
              for log, each, name in zip(read, mine, answers, strict=True)]  # fmt: skip
    if not own.names_any and not keys[0] and not all(inputs) and "output" in rows.columns:
        return None  # nothing is gained: the error on logs that can't be matched says what helps
    named = [_LogRoles(*each) for each in zip(keys[1:], inputs, answers, strict=True)]
    return RenamedFiles(
        gold=[_gold_record(row, roles, keys[0]) for row in rows.records],
        logs=tuple([_log_record(row, each) for row in log.records]
                   for log, each in zip(read, named, strict=True)),
        notes=tuple(_column_notes(roles, named)),
    )  # fmt: skip


def gold_cases(records: Records, bad: BadRows) -> list[Case]:
    """Return the cases of renamed gold records; bad rows and repeated ids go to `bad`."""
    cases: list[Case] = []
    times: Counter[str] = Counter()
    for record in records:
        case = record if isinstance(record, RowFault) else to_case(record)
        if isinstance(case, RowFault):
            bad.add(case)
            continue
        times[case.id] += 1
        if times[case.id] > 1:
            if isinstance(record, RawRow) and record.fields.get("id") not in (None, ""):
                fix = "name a column that is unique: --id-column"
                bad.add(RowFault(case.where, "duplicate id", case.id, fix, "id", case.id))
                continue
            case = case.model_copy(update={"id": f"{case.id}-{times[case.id]}"})
        cases.append(case)
    return cases


# Reading.


def _first_rows(path: Path) -> list[Mapping[str, Any]]:
    return [
        row.fields for row in islice(own_records(path), _SAMPLE_RECORDS) if isinstance(row, RawRow)
    ]


def _has_usual_gold_names(path: Path) -> bool:
    """Return whether a file of right answers has the usual names in its first records."""
    return _mostly_fits(path, lambda row: "messages" in row or {"input", "output"} <= row.keys())


def _has_usual_log_names(path: Path) -> bool:
    """Return whether a log has an answer, and an id or an input, in its first records."""
    keys = {"answer", "output"}, {"id", "input"}
    return _mostly_fits(path, lambda row: all(row.keys() & each for each in keys))


def _mostly_fits(path: Path, fits: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Return whether at least half of a file's first records fit, so that bad rows don't count."""
    mark = DELIMITER_OF.get(path.suffix.lower())
    sample = _first_rows(path)
    plain = mark in (None, delimiter_of(path)) and text_encoding(path) != WINDOWS_ENCODING
    plain = plain and not is_rewritten(path)
    return plain and 2 * sum(map(fits, sample)) >= len(sample)


def _refuse_unreadable(log: _File) -> None:
    """Raise DataError for a log without a row that can be read, with its first fault."""
    if log.rows:
        return
    fault = next((record for record in log.records if isinstance(record, RowFault)), None)
    if fault is None:
        raise DataError("the file has no row", where=str(log.path), got="blank lines or a header",
                        fix="write the answers into it", kept="your files")  # fmt: skip
    where = f"{log.path}{fault.where.removeprefix(log.path.name)}"
    raise DataError(f"no row of the file can be read: {fault.why}", where=where, got=fault.got,
                    fix=fault.fix, kept="your files")  # fmt: skip


# Roles.


def _check_named(files: Sequence[_File], own: OwnColumns) -> None:
    """Raise TaskError if a column option names a column that its files lack."""
    wanted = {
        "--id-column": (own.id, files),
        "--input-column": (own.input, files),
        "--gold-column": (own.right, files[:1]),
        "--answer-column": (own.answer, files[1:]),
    }
    for option, (name, places) in wanted.items():
        lacking = [file for file in places if name is not None
                   and column_like(name, file.columns) not in file.columns]  # fmt: skip
        everywhere = option == "--id-column"
        if lacking and (everywhere or len(lacking) == len(places)):
            first = lacking[0]
            raise TaskError(
                "the file has no column of this name", where=f"{first.path} {option}",
                got=str(name), fix=f"there are: {', '.join(first.columns)}", kept="your files",
            )  # fmt: skip


def _gold_roles(gold: _File, own: OwnColumns) -> Roles:
    """Return the column roles of the file of right answers; chat rows keep their messages."""
    columns, sample = gold.columns, [row.fields for row in gold.rows[:_SAMPLE_RECORDS]]
    asked = own.input if own.input in columns else "input" if "input" in columns else None
    right = own.right or ("output" if "output" in columns else None)
    if "messages" in columns and own.input not in columns:
        return Roles("messages", right or "output", {})
    found = propose_roles(sample, Choice(input=asked, output=right))
    if isinstance(found, str):
        what = "the input" if found == "input" else "the right answer"
        option = "--input-column" if found == "input" else "--gold-column"
        raise DataError(
            f"no column of the right answers' file is {what}", where=str(gold.path),
            got=", ".join(columns), fix=f"name it: {option} COLUMN", kept="your files",
        )  # fmt: skip
    return replace(found, systems={})


def _answer_column(log: _File, own: OwnColumns, gold: Roles) -> str:
    """Return the column of a log that holds its answers."""
    columns = log.columns
    if own.answer in columns:
        return str(own.answer)
    taken = {gold.input, own.id, own.input}
    if not {"answer", "output"} & set(columns):
        taken.add(gold.output)  # a log that repeats the right answer beside its own
    free = [name for name in columns if name not in taken]
    if by_name := named_column(free, _LOG_ANSWER_NAMES):
        return by_name
    texts = [name for name in free if not is_key_name(name) and _holds_text(log, name)]
    if len(texts) == 1:
        return texts[0]
    raise DataError(
        "no column of the log is known to hold its answers", where=str(log.path),
        got=", ".join(columns), fix="name it: --answer-column COLUMN", kept="your files",
    )  # fmt: skip


def _holds_text(log: _File, name: str) -> bool:
    """Return whether most values of a column are texts, and some have letters."""
    values = [row.fields[name] for row in log.rows[:_SAMPLE_RECORDS] if name in row.fields]
    texts = [value for value in values if isinstance(value, str)]
    return 2 * len(texts) > len(log.rows[:_SAMPLE_RECORDS]) and any(
        any(map(str.isalpha, t)) for t in texts
    )


def _id_columns(
    gold: _File, logs: Sequence[_File], own: OwnColumns, taken: set[str]
) -> tuple[str, ...]:
    """Return the id column of the gold rows and of each log; "" where none is shared.

    A column named by the user counts as it is; else it is unique in every file, and at least half
    of a log's values stand in that of the gold rows.
    """
    none = ("",) * (len(logs) + 1)
    if own.id:
        return tuple(column_like(own.id, file.columns) for file in (gold, *logs))
    free = [name for name in gold.columns if name not in taken and _is_unique(gold, name)]
    for name in sorted(free, key=lambda each: (each != "id", not is_key_name(each))):
        known = set(_id_values(gold, name))
        found = [_shared_id_column(log, name, known, taken) for log in logs]
        if all(found):
            return name, *found
    return none


def _shared_id_column(log: _File, name: str, known: set[str], taken: set[str]) -> str:
    """Return the column of a log with these ids, by the same name or an id's name; or ""."""
    like = [each for each in log.columns if is_key_name(each) and each != name]
    candidates: list[str] = [name, *like] if is_key_name(name) else [name]
    for column in candidates:
        if column in log.columns and column not in taken and _is_unique(log, column):
            values = _id_values(log, column)
            if sum(value in known for value in values) >= _LEAST_OVERLAP * len(values):
                return column
    return ""


def _is_unique(file: _File, name: str) -> bool:
    values = _id_values(file, name)
    return len(values) == len(file.rows) == len(set(values))


def _id_values(file: _File, name: str) -> list[str]:
    """Return the values of a column that can be ids, texts or whole numbers, as text."""
    found = (row.fields.get(name) for row in file.rows)
    return [str(v).strip() for v in found
            if isinstance(v, str | int) and not isinstance(v, bool) and str(v).strip()]  # fmt: skip


def _input_column(log: _File, gold: _File, roles: Roles, own: OwnColumns, answer: str) -> str:
    """Return the column of a log with the inputs of the gold rows, "" if it has none.

    A column that the user did not name must hold the same texts, not whole prompts.
    """
    columns = [name for name in log.columns if name != answer]
    if own.input in columns:
        return str(own.input)
    known = {str(row.fields.get(roles.input)).strip() for row in gold.rows}
    for name in dict.fromkeys(("input", roles.input, *columns)):
        texts = [str(row.fields[name]).strip() for row in log.rows if row.fields.get(name)]
        if name in columns and sum(t in known for t in texts) >= _LEAST_OVERLAP * len(log.rows):
            return name
    return "input" if "input" in columns else ""


# Renaming.


def _gold_record(record: RawRow | RowFault, roles: Roles, key: str) -> RawRow | RowFault:
    if isinstance(record, RowFault):
        return record
    own = record.fields
    named = {name: value for name, value in own.items() if name != roles.output}
    if roles.input == "messages":
        fields = named | {"output": own[roles.output]} if roles.output in own else named
    elif (roles.input, roles.output) == ("input", "output"):
        fields = dict(own)
    else:
        fields = row_of(own, replace(roles, plain=tuple(n for n in roles.plain if n != "id")))
        fields |= {"id": own["id"]} if own.get("id") not in (None, "") else {}
        (fields.get("meta") or {}).pop("id", None)
    if key and own.get(key) not in (None, ""):
        fields["id"] = _as_id(own[key])
        (fields.get("meta") or {}).pop(key, None)
    return RawRow(record.where, fields)


def _log_record(record: RawRow | RowFault, roles: _LogRoles) -> RawRow | RowFault:
    if isinstance(record, RowFault):
        return record
    own = record.fields
    fields = {name: own[name] for name in _USUAL_NAMES if name in own}
    if roles.answer in own:
        fields["answer"] = own[roles.answer]
    elif not {"answer", "output"} & own.keys():
        name = quoted(roles.answer, 40)
        fix = (f'write "{name}": null where the system gave none (it counts as wrong), or name'
               " another column: --answer-column")  # fmt: skip
        return RowFault(record.where, f"the log's answers stand in `{name}`, which is missing here",
                        ", ".join(sorted(own)), fix)  # fmt: skip
    key = roles.id or "id"
    if own.get(key) not in (None, ""):
        fields["id"] = _as_id(own[key])
    if roles.input and roles.input in own:
        fields["input"] = own[roles.input]
    return RawRow(record.where, fields)


def _as_id(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _column_notes(roles: Roles, named: Sequence[_LogRoles]) -> Iterator[str]:
    """Yield one sentence on the columns that were read under names of their own."""
    parts = []
    if roles.input not in ("input", "messages"):
        parts.append(f"the input from `{quoted(roles.input, 40)}`")
    if roles.output != "output":
        parts.append(f"the right answer from `{quoted(roles.output, 40)}`")
    answers = dict.fromkeys(each.answer for each in named)
    if set(answers) - {"answer"}:
        listed = " and ".join(f"`{quoted(name, 40)}`" for name in answers)
        parts.append(f"the answers from {listed}")
    if parts:
        yield f"read by their column names: {', '.join(parts)}"
    if named[0].id not in ("", "id"):
        yield f"rows are matched by `{quoted(named[0].id, 40)}`"
