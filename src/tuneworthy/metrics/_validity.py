"""Check whether an answer is valid: it was not cut off and parses as its output type.

With the metric `code` a text must parse as Python. Knows no right answer.

A schema may come from an untrusted task file: nothing outside it is fetched, and one that might
never terminate is checked in a child process with a time limit (see `sandbox/schemas.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tuneworthy.metrics._code import parse_python
from tuneworthy.metrics._leaves import composed, parse
from tuneworthy.metrics._numbers import numbers
from tuneworthy.metrics._writing import match_label
from tuneworthy.records.answer import Answer
from tuneworthy.records.errors import SecurityError, TaskError
from tuneworthy.records.task import Task
from tuneworthy.sandbox.schemas import SchemaFault, external_reference, schema_check

Parses = Callable[[str], bool | None]
NO_JSON = "it is no JSON"


def validity(task: Task) -> Callable[[Answer], bool | None]:
    """Return the function that says whether an answer is valid, None if nothing defines it.

    An answer without a recorded `finish` is judged by its text alone. Raises TaskError if the
    schema is broken and SecurityError if it refers outside itself.
    """
    parses = _parse_check(task)

    def valid(answer: Answer) -> bool | None:
        if answer.error is not None or answer.finish in ("length", "error"):
            return False
        return parses(answer.text)

    return valid


def _parse_check(task: Task) -> Parses:
    labels, schema = task.output.labels, task.output.json_schema
    if task.output.type == "json":
        return _schema_matcher(schema) if isinstance(schema, dict) else is_json
    if task.output.type == "label":
        return lambda text: match_label(text, labels) is not None if labels else None
    if task.output.type == "number":
        return lambda text: len(numbers(text)) == 1
    return _is_python if "code" in task.success.metrics else lambda text: bool(text.strip())


def _is_python(text: str) -> bool:
    try:
        parse_python(text)
    except ValueError:
        return False
    return True


def is_json(text: str) -> bool:
    """Return whether a text is JSON."""
    try:
        parse(text, exact=False)
    except ValueError:
        return False
    return True


def _schema_matcher(schema: dict[str, Any]) -> Parses:
    """Return the function that says whether a text is JSON that matches the schema (see below)."""
    fault = schema_fault(schema)
    return lambda text: None if (wrong := fault(text)) is None else not wrong


def schema_fault(schema: dict[str, Any]) -> Callable[[str], str | None]:
    """Return the function that says how a text is no JSON that matches the schema, "" if it is.

    It returns None if the schema timed out on this text. Raises TaskError if the schema is broken
    and SecurityError if it refers outside itself.
    """
    where = "output.schema"
    try:
        if (ref := external_reference(schema)) is not None:
            raise SecurityError(
                "the schema refers outside itself; nothing is fetched for a schema",
                where=where, got=ref, fix='put the part under "$defs" and refer to "#/$defs/…"',
            )  # fmt: skip
        check = schema_check(composed(schema))  # as `parse` returns texts
    except (SchemaFault, ValueError) as error:
        raise TaskError("the schema can't be used", where=where, got=str(error),
                        fix="correct it (JSON Schema 2020-12)") from None  # fmt: skip

    def fault(text: str) -> str | None:
        try:
            return check(parse(text, exact=False))
        except (ValueError, ArithmeticError, RecursionError):
            return NO_JSON

    return fault
