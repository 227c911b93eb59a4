"""Read task.yaml into a checked Task; errors name file, line and key."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from tuneworthy.records.errors import SecurityError, TaskError
from tuneworthy.records.record import Record, plain_file
from tuneworthy.records.redaction import has_key
from tuneworthy.records.task import Task
from tuneworthy.rows import plain_yaml
from tuneworthy.rows.plain_yaml import PlainDocument
from tuneworthy.rows.task_consistency import check_consistency
from tuneworthy.rows.task_faults import (
    TaskFault,
    raise_faults,
    section_class,
    unknown_keys,
    validation_faults,
)

_SECRET_NAMES = re.compile(r"(?i)(^|_)(key|token|secret|password)$")
_ROW_SUFFIXES = dict.fromkeys((".csv", ".tsv", ".xlsx", ".parquet"), "a table") | dict.fromkeys(
    (".jsonl", ".ndjson"), "a file of rows"
)
_NO_TEXT_CHARACTERS = re.compile("[\x00\ud800-\udfff]")
_SMALLEST_NUMBER = 1e-12  # smallest nonzero number; division by a smaller one overflows
_ENV_REFERENCE = re.compile(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}")


def read_task(path: Path) -> Task:
    """Return the task of a task file; relative paths in it start at its folder.

    Raises TaskError with `file:line key.path` for invalid content, SecurityError for a pasted key
    (never shown) or a YAML tag.
    """
    path = Path(path)
    _refuse_rows(path)
    text = _read_text(path)
    _refuse_keys(text, path.name)
    plain = plain_yaml.parse(text, path.name)
    _refuse_characters(plain, path.name, plain.data, ())
    if not isinstance(plain.data, dict):
        raise TaskError(
            "the task file holds no keys",
            where=path.name,
            got=str(plain.data or "nothing"),
            fix="`tuneworthy init rows.jsonl` writes one; only `data:` is required",
        )
    return _checked_task(plain, path)


def _refuse_rows(path: Path) -> None:
    """Raise TaskError for a file of rows where the task file belongs."""
    if path.suffix.lower() in _ROW_SUFFIXES and path.is_file():
        raise TaskError(
            f"this is {_ROW_SUFFIXES[path.suffix.lower()]}, no task file", where=str(path),
            fix=f"`tuneworthy init {shlex.quote(str(path))}` writes a task file for it",
        )  # fmt: skip


def task_schema() -> dict[str, Any]:
    """Return the JSON schema of task.yaml, for editors (completion and hints while typing)."""
    schema = Task.model_json_schema(by_alias=True)
    schema["properties"].pop("inferred")
    answers = schema["properties"]["answers"]
    record = answers["additionalProperties"]
    answers["additionalProperties"] = {"anyOf": [{"type": "string"}, record]}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "tuneworthy task"
    return schema


def _read_text(path: Path) -> str:
    try:
        raw = plain_file(path, plain_yaml.MAX_BYTES + 1)
    except ValueError:  # a NUL character
        raise TaskError(
            "this is no path", where=str(path), fix="remove the NUL character"
        ) from None
    except FileNotFoundError:
        raise TaskError(
            "there is no task file here", where=str(path), fix="`tuneworthy init ROWS` writes one"
        ) from None
    except OSError as error:
        raise TaskError(
            "the task file can't be opened", where=str(path), got=error.strerror or "",
            fix="give the path of a readable task file",
        ) from None  # fmt: skip
    if len(raw) > plain_yaml.MAX_BYTES:
        raise TaskError("the task file is larger than 1 MB", where=str(path), fix="shorten it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaskError(
            "the task file is not UTF-8",
            where=f"{path.name}, byte {error.start}",
            got=repr(raw[error.start : error.start + 1]),
            fix="save it as UTF-8",
        ) from None


def _refuse_keys(text: str, name: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if has_key(line):
            raise _pasted_key_error(f"{name}:{number}")


def _refuse_characters(
    plain: PlainDocument, name: str, value: Any, path: plain_yaml.KeyPath
) -> None:
    """Raise TaskError for NUL and lone surrogates, which no UTF-8 text or path can contain."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_characters(plain, name, key, (*path, key))
            _refuse_characters(plain, name, inner, (*path, key))
    elif isinstance(value, str) and _NO_TEXT_CHARACTERS.search(value):
        where = f"{name}:{plain.line(path)} {plain_yaml.dotted(path)}"
        raise TaskError("a NUL character or half a character stands in the task file", where=where,
                        got=value, fix="remove it")  # fmt: skip


def _pasted_key_error(where: str) -> SecurityError:
    return SecurityError(
        "a key is pasted into the task file",
        where=where,
        got="(a key; not shown)",
        fix="write ${env:NAME} there, set NAME in the environment, and replace the key: it is known"
        " to whoever saw this file",
    )


def _checked_task(plain: PlainDocument, path: Path) -> Task:
    name = path.name
    _check_secrets(plain, name, plain.data, ())
    faults = unknown_keys(Task, plain.data, ())
    data = _without_nulls(Task, _with_answer_sections(plain.data))
    faults += _number_faults(data, ())
    if not faults:
        try:
            task = Task.model_validate_json(to_json(data), strict=True)
        except ValidationError as error:
            faults = validation_faults(error, data)
        else:
            check_consistency(task.at(path.parent), plain, name)
            return task.at(path.parent)
    raise_faults(faults, plain, name)


def _with_answer_sections(data: dict[str, Any]) -> dict[str, Any]:
    answers = data.get("answers")
    if not isinstance(answers, dict):
        return data
    long = {k: {"file": v} if isinstance(v, str) else v for k, v in answers.items()}
    return {**data, "answers": long}


def _without_nulls(record: type[Record], data: dict[str, Any]) -> dict[str, Any]:
    """Return the data without null values: an empty key means its default."""
    out = {}
    for key, value in data.items():
        inner = section_class(record, key)
        if value is not None:
            nested = inner is not None and isinstance(value, dict)
            out[key] = _without_nulls(inner, value) if nested and inner else value
    return out


def _check_secrets(plain: PlainDocument, name: str, value: Any, path: plain_yaml.KeyPath) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_secrets(plain, name, inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_secrets(plain, name, inner, (*path, index))
    elif isinstance(value, str) and path:
        _check_text(f"{name}:{plain.line(path)} {plain_yaml.dotted(path)}", value, path)


def _check_text(where: str, value: str, path: plain_yaml.KeyPath) -> None:
    secret = isinstance(path[-1], str) and _SECRET_NAMES.search(path[-1]) is not None
    if secret and not _ENV_REFERENCE.fullmatch(value):
        raise _pasted_key_error(where)
    if not secret and "${env:" in value and path != ("instruction",):
        raise TaskError(
            "the environment is read for keys only",
            where=where,
            got=value,
            fix="write the value itself; ${env:NAME} may stand where a key stands",
        )


def _number_faults(value: Any, path: plain_yaml.KeyPath) -> list[TaskFault]:
    if isinstance(value, dict):
        return [f for k, v in value.items() for f in _number_faults(v, (*path, k))]
    if isinstance(value, list):
        return [f for k, v in enumerate(value) for f in _number_faults(v, (*path, k))]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return [TaskFault(path, "a number must be finite", str(value), "write a plain number")]
    if isinstance(value, float) and 0 < abs(value) < _SMALLEST_NUMBER:
        fix = f"write 0, or at least {_SMALLEST_NUMBER:g}"
        return [TaskFault(path, "a number is too small to mean anything", str(value), fix)]
    if isinstance(value, int) and abs(value) > 2**63:
        return [TaskFault(path, "a number is too large", str(value)[:40], "write a smaller number")]
    return []
