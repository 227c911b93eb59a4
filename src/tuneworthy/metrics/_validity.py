"""Whether an answer is valid: it ended by itself and parses (as Python under the metric `code`).

Knows no right answer.

A schema may come from someone else's task file: nothing outside it is fetched, and one with
patterns, which can run for ever, is checked in a child process with a time limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tuneworthy.core.answer import Answer
from tuneworthy.core.errors import SecurityError, TaskError
from tuneworthy.core.task import Task
from tuneworthy.metrics._child import Child, ChildFailed, TimedOut
from tuneworthy.metrics._code import parsed
from tuneworthy.metrics._json import DEPTH, parse
from tuneworthy.metrics._labels import matched
from tuneworthy.metrics._numbers import numbers

Parses = Callable[[str], bool | None]
_REFS = ("$ref", "$dynamicRef", "$recursiveRef")
_SECONDS, _MEMORY = 2.0, 1024**3


def validity(task: Task) -> Callable[[Answer], bool | None]:
    """Return a function that says whether an answer is valid; None where nothing defines it.

    An answer whose `finish` is not recorded is judged by its text alone. Raises TaskError where
    the schema is broken and SecurityError where it refers outside itself.
    """
    parses = _parses(task)

    def valid(answer: Answer) -> bool | None:
        if answer.error is not None or answer.finish in ("length", "error"):
            return False
        return parses(answer.text)

    return valid


def _parses(task: Task) -> Parses:
    labels, schema = task.output.labels, task.output.json_schema
    if task.output.type == "json":
        return matches(schema) if isinstance(schema, dict) else _is_json
    if task.output.type == "label":
        return lambda text: matched(text, labels) is not None if labels else None
    if task.output.type == "number":
        return lambda text: len(numbers(text)) == 1
    return _is_python if "code" in task.success.metrics else lambda text: bool(text.strip())


def _is_python(text: str) -> bool:
    try:
        parsed(text)
    except ValueError:
        return False
    return True


def _is_json(text: str) -> bool:
    try:
        parse(text, exact=False)
    except ValueError:
        return False
    return True


def matches(schema: dict[str, Any]) -> Callable[[str], bool | None]:
    """Return a function that says whether a text is JSON that matches the schema.

    It returns None where the schema's patterns ran past their time on this text.
    """
    checked_schema(schema)
    if any("pattern" in key for node in _nodes(schema) for key in node):
        return _in_child(schema)
    check = validator(schema)

    def match(text: str) -> bool:
        try:
            return bool(check.is_valid(parse(text, exact=False)))
        except (ValueError, ArithmeticError, RecursionError):
            return False

    return match


def _in_child(schema: dict[str, Any]) -> Parses:
    child = Child({"schema": schema}, folder=Path("/"), seconds=_SECONDS, memory=_MEMORY)

    def match(text: str) -> bool | None:
        try:
            value = parse(text, exact=False)
        except ValueError:
            return False
        try:
            return bool(child.call(value))
        except TimedOut:
            return None
        except ChildFailed:
            return False

    return match


def validator(schema: dict[str, Any]) -> Any:
    """Return a jsonschema validator that fetches nothing."""
    import jsonschema
    from referencing import Registry

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    return kind(schema, registry=Registry())


def checked_schema(schema: dict[str, Any]) -> None:
    """Raise TaskError unless the schema is one, stands alone and every reference in it resolves."""
    import jsonschema

    where = "output.schema"
    refs = [node[key] for node in _nodes(schema) for key in _REFS if isinstance(node.get(key), str)]
    for ref in refs:
        if not ref.startswith("#"):
            raise SecurityError(
                "the schema refers outside itself; nothing is fetched for a schema",
                where=where, got=ref, fix='put the part under "$defs" and refer to "#/$defs/…"',
            )  # fmt: skip
    try:
        check = validator(schema)
        check.check_schema(schema)
        _resolve(schema, refs)
        check.is_valid({})
    except jsonschema.SchemaError as error:
        raise TaskError("the schema is no JSON schema", where=where, got=error.message) from None
    except RecursionError:
        raise TaskError("the schema refers to itself without end", where=where) from None
    except Exception as error:
        raise TaskError("the schema can't be used", where=where, got=str(error)) from None


def _resolve(schema: dict[str, Any], refs: list[str]) -> None:
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    resource = Resource.from_contents(schema, default_specification=DRAFT202012)
    name = resource.id() or ""
    resolver = Registry().with_resource(name, resource).resolver(name)
    for ref in refs:
        resolver.lookup(ref)


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    level = [schema]
    for _ in range(DEPTH + 1):
        inner: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                yield node
                inner += node.values()
            elif isinstance(node, list):
                inner += node
        level = inner
    if any(isinstance(node, dict | list) for node in level):
        raise TaskError(f"the schema is nested deeper than {DEPTH} levels", where="output.schema")
