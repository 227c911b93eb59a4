"""Make the grammar that constrains decoding, from labels, a JSON schema or a number's form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tuneworthy.core.model import Grammar
from tuneworthy.core.task import Task

NUMBER = r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,8})?"
_COMPOSING_KEYWORDS = {
    "allOf",
    "not",
    "if",
    "dependentSchemas",
    "unevaluatedProperties",
    "$dynamicRef",
}
_NOT_WITH_PROPERTIES = {"anyOf", "oneOf", "$ref"}
_NAMED_PARTS = {"properties", "$defs", "definitions", "patternProperties"}
_VALUE_KEYWORDS = {"enum", "const", "default", "examples"}


def grammar(task: Task, answers: Sequence[str] = ()) -> Grammar | None:
    """Return the grammar of a task's answers; None for free text or an unknown form.

    JSON is spaced like most of `answers` (the training ones): other spacing means other tokens, and
    a small model does worse under a form that differs from its examples.

    In a user's schema, an object that lists its properties and does not mention others is closed,
    so that a model can't go on inventing keys; an inferred schema states which objects are open.
    """
    output = task.output
    if output.type == "label" and output.labels:
        return Grammar(kind="labels", value=list(output.labels))
    if output.type == "json" and isinstance(output.json_schema, dict):
        inferred = "output.schema" in task.inferred
        value = output.json_schema if inferred else close_objects(output.json_schema)
        return Grammar(
            kind="json", value=with_key_order(value, answers), spaced=_has_spaces(answers)
        )
    if output.type == "number":
        return Grammar(kind="regex", value=NUMBER)
    return None


def _has_spaces(answers: Sequence[str]) -> bool:
    """Return whether most JSON answers have a space after `,` and `:`."""
    counts = [0, 0]
    for text in answers:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        for at, separators in enumerate(((",", ":"), (", ", ": "))):
            counts[at] += json.dumps(value, ensure_ascii=False, separators=separators) == text
    return counts[1] > counts[0]


def with_key_order(schema: dict[str, Any], answers: Sequence[str]) -> dict[str, Any]:
    """Return the schema with the keys of its objects in the order of the answers.

    A grammar forces the schema's key order on the answer, and a model that would write another
    order leaves keys out or invents some. Keys are sorted by their mean position in the answers (0
    first, 1 last); keys in no answer come last.
    """
    values = []
    for text in answers:
        try:
            values.append(json.loads(text))
        except (ValueError, RecursionError):
            continue
    out: dict[str, Any] = _with_ordered_keys(schema, values)
    return out


def _with_ordered_keys(node: Any, values: Sequence[Any]) -> Any:
    if not isinstance(node, dict):
        return node
    out = dict(node)
    if isinstance(properties := node.get("properties"), dict):
        objects = [value for value in values if isinstance(value, dict)]
        places: dict[str, list[float]] = {}
        for value in objects:
            for at, key in enumerate(value):
                places.setdefault(key, []).append((at + 0.5) / len(value))
        means = {key: sum(positions) / len(positions) for key, positions in places.items()}
        keys = sorted(properties, key=lambda key: means.get(key, 2.0))
        inner = {key: [value[key] for value in objects if key in value] for key in keys}
        out["properties"] = {key: _with_ordered_keys(properties[key], inner[key]) for key in keys}
    if isinstance(items := node.get("items"), dict):
        lists = [value for value in values if isinstance(value, list)]
        out["items"] = _with_ordered_keys(items, [part for value in lists for part in value])
    return out


def close_objects(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with each object closed that lists its properties and mentions no others.

    A schema that composes an object of several parts is returned unchanged: closing one part would
    forbid what another part allows.
    """
    if any(
        node.keys() & _COMPOSING_KEYWORDS or _mixes_properties(node) for node in _subschemas(schema)
    ):
        return schema
    out: dict[str, Any] = _without_extra_keys(schema)
    return out


def _without_extra_keys(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_extra_keys(part) for part in node]
    if not isinstance(node, dict):
        return node
    out = {key: _with_changed_parts(key, value, _without_extra_keys) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and "patternProperties" not in node:
        out.setdefault("additionalProperties", False)
    return out


def _with_changed_parts(key: str, value: Any, change: Callable[[Any], Any]) -> Any:
    if key in _VALUE_KEYWORDS:
        return value  # values, not schemas
    if key in _NAMED_PARTS and isinstance(value, dict):
        return {name: change(part) for name, part in value.items()}
    return change(value)


def _mixes_properties(node: dict[str, Any]) -> bool:
    return "properties" in node and bool(node.keys() & _NOT_WITH_PROPERTIES)


def _subschemas(node: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema and every schema inside it; property names don't count as keywords."""
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key in _NAMED_PARTS and isinstance(value, dict):
                for part in value.values():
                    yield from _subschemas(part)
            elif key not in _VALUE_KEYWORDS:
                yield from _subschemas(value)
    elif isinstance(node, list):
        for part in node:
            yield from _subschemas(part)
