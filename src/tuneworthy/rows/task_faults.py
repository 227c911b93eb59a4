"""Collect the faults of a task file into one TaskError: the first in full, the others counted."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tuneworthy.records.errors import TaskError
from tuneworthy.records.record import Record
from tuneworthy.records.task import LEFT_KEYS
from tuneworthy.rows.plain_yaml import KeyPath, PlainDocument, dotted

_NOT_WRITTEN = {"inferred"}  # filled by us, never read from the file


@dataclass(frozen=True)
class TaskFault:
    """One fault of a task file: the key path, what is wrong, what was got, how to fix it."""

    path: KeyPath
    what: str
    got: str
    fix: str


def field_names(record: type[Record]) -> dict[str, str]:
    """Return {key in the file: field name} of a record class."""
    fields = record.model_fields.items()
    return {f.alias or name: name for name, f in fields if name not in _NOT_WRITTEN}


def section_class(record: type[Record], key: str) -> type[Record] | None:
    """Return the record class of the section under a key, None for a plain key."""
    name = field_names(record).get(key)
    if name is None:
        return None
    return _record_in(record.model_fields[name].annotation)


def _record_in(kind: Any) -> type[Record] | None:
    if get_origin(kind) is dict:
        return None
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, Record):
            return candidate
    return None


def unknown_keys(record: type[Record], data: Mapping[str, Any], path: KeyPath) -> list[TaskFault]:
    """Return a fault per unknown key, with the nearest known key."""
    faults = []
    known = field_names(record)
    for key, value in data.items():
        if key not in known:
            sections = {one: section_class(record, one) for one in known}
            homes = [one for one, inner in sections.items() if inner and key in field_names(inner)]
            faults.append(_unknown_key_fault(key, list(known), (*path, key), homes))
        elif isinstance(value, dict):
            faults += _section_faults(record, key, value, (*path, key))
    return faults


def _section_faults(
    record: type[Record], key: str, value: dict[str, Any], path: KeyPath
) -> list[TaskFault]:
    inner = section_class(record, key)
    if inner is not None:
        return unknown_keys(inner, value, path)
    if key == "answers" and not path[1:]:
        from tuneworthy.records.task import Recorded

        rows = [(k, v) for k, v in value.items() if isinstance(v, dict)]
        return [f for k, v in rows for f in unknown_keys(Recorded, v, (*path, k))]
    return []


def _unknown_key_fault(
    key: str, known: list[str], path: KeyPath, homes: Sequence[str] = ()
) -> TaskFault:
    """Return the fault of an unknown key; `homes` are the sections here that have such a key."""
    if key in LEFT_KEYS:
        return TaskFault(path, "this key is gone", key, LEFT_KEYS[key])
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    hint = f"did you mean `{near[0]}`? " if near else ""
    if homes:
        hint = f"write it under `{homes[0]}`: {homes[0]}: {{{key}: ...}}; "
    return TaskFault(path, "there is no such key", key, f"{hint}known here: {', '.join(known)}")


def validation_faults(error: ValidationError, data: Any) -> list[TaskFault]:
    """Return pydantic's errors as faults in words, one per key path."""
    faults: dict[KeyPath, TaskFault] = {}
    for detail in error.errors(include_url=False, include_context=True):
        path, value = _location_in_file(detail["loc"], data)
        fault = _fault_in_words(detail, path, value)
        if detail["type"] == "literal_error":  # the word branch of a union comes first
            faults.setdefault(path, fault)
        elif path not in faults or isinstance(value, int | float):
            faults[path] = fault
    return list(faults.values())


def _location_in_file(loc: tuple[int | str, ...], data: Any) -> tuple[KeyPath, Any]:
    """Return the part of a pydantic location that the file has, and the value there.

    The location also names union branches, which the file does not have.
    """
    path: list[int | str] = []
    for part in loc:
        if _has_part(data, part):
            data = data[part]
        elif isinstance(data, dict) and part == loc[-1] and not path:
            return (str(part),), None  # a required key that is missing
        else:
            continue
        path.append(part)
    return tuple(path), data


def _has_part(data: Any, part: int | str) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def _fault_in_words(detail: ErrorDetails, path: KeyPath, value: Any) -> TaskFault:
    kind, context = detail["type"], detail.get("ctx", {})
    got = "nothing" if kind == "missing" else _value_text(value)
    if kind == "missing":
        return TaskFault(path, "a required key is missing", got, f"add `{detail['loc'][-1]}:`")
    if kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return TaskFault(path, _range_text(kind, context), got, _range_fix(kind, value, context))
    if kind == "string_pattern_mismatch":
        fix = "use letters, digits, `.`, `_`, `-`; at most 64, the first a letter or digit"
        return TaskFault(path, "this is no name", got, fix)
    if kind == "literal_error":
        or_number = " or a whole number from 2 to 20" if path[-1:] == ("folds",) else ""
        fix = f"write {context.get('expected')}{or_number}"
        return TaskFault(path, "this value is not known", got, fix)
    return TaskFault(path, _kind_words(kind), got, _kind_fix(kind, value))


def _range_text(kind: str, context: dict[str, Any]) -> str:
    words = {
        "greater_than": ("above", "gt"),
        "greater_than_equal": ("at least", "ge"),
        "less_than": ("below", "lt"),
        "less_than_equal": ("at most", "le"),
    }
    word, key = words[kind]
    return f"the number must be {word} {context.get(key)}"


def _range_fix(kind: str, value: Any, context: dict[str, Any]) -> str:
    limit = context.get("lt", context.get("le"))
    if kind.startswith("less") and limit == 1 and isinstance(value, int | float) and value <= 100:
        return f"shares are written from 0 to 1: {value} in 100 is {value / 100:g}"
    return "write a number inside the range"


_TYPE_WORDS = {
    "string": "text", "float": "a number", "int": "a whole number", "bool": "true or false",
    "dict": "a section of `key: value` lines", "model": "a section of `key: value` lines",
    "tuple": "a list", "list": "a list", "literal": "one of the known words",
}  # fmt: skip


def _kind_words(kind: str) -> str:
    return f"the value must be {_TYPE_WORDS.get(kind.split('_')[0], 'of another type')}"


def _kind_fix(kind: str, value: Any) -> str:
    wanted = kind.split("_")[0]
    if wanted in {"float", "int"} and isinstance(value, str):
        bare = value.strip("$€£ %").replace("_", "").replace(",", "")
        if bare.replace(".", "", 1).isdigit():
            return f"write the number alone: {bare}"
    if wanted == "bool" and isinstance(value, str):
        return "write true or false (`no` and `yes` are words in YAML 1.2)"
    if wanted == "string" and not isinstance(value, str | dict | list):
        return f'put it in quotes: "{_value_text(value)}"'
    return f"write {_TYPE_WORDS.get(wanted, 'another type')} here"


def _value_text(value: Any) -> str:
    if isinstance(value, dict):
        return f"a section with {', '.join(list(value)[:5]) or 'nothing'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None else str(value)


def raise_faults(faults: list[TaskFault], plain: PlainDocument, name: str) -> NoReturn:
    """Raise one TaskError for the faults, in the order of the file."""
    ordered = sorted(faults, key=lambda f: plain.line(f.path))
    first, others = ordered[0], ordered[1:]
    what = first.what
    if others:
        lines = ", ".join(str(plain.line(f.path)) for f in others[:5])
        what += f" (and {len(others)} more wrong: line {lines})"
    where = f"{name}:{plain.line(first.path)} {dotted(first.path)}".rstrip()
    raise TaskError(what, where=where, got=first.got, fix=first.fix)
