"""Make the grammar that constrains decoding, from labels, a JSON schema or a number's form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tuneworthy.records.model import Grammar
from tuneworthy.records.task import Task

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


LONGEST_TEXT = 1500

_MOST_NODES = 5000  # schema nodes written; references can double them with every level

_ENUM_STEPS = (60, 12, 4, 0)


def schema_line(schema: dict[str, Any]) -> str:
    """Return the form of a JSON answer in one line: keys, types, allowed values, nesting.

    `"key"?` is optional, `|` separates alternatives, `[x, …]` is a list. A line longer than
    LONGEST_TEXT leaves out allowed values (`…`), until it is short enough or has none left.
    """
    text = ""
    for most in _ENUM_STEPS:
        text = _SchemaWriter(schema, most).line(schema)
        if len(text) <= LONGEST_TEXT:
            break
    return text


class _SchemaWriter:
    """Writes a schema as one line, with at most `most` allowed values of a field."""

    def __init__(self, root: dict[str, Any], most: int) -> None:
        self._root, self._most = root, most
        self._open: list[str] = []
        self._left = _MOST_NODES

    def line(self, schema: Any) -> str:
        """Return the line for one part of the schema."""
        self._left -= 1
        if self._left < 0:
            return "…"
        if not isinstance(schema, dict):
            return "any"
        if isinstance(ref := schema.get("$ref"), str):
            return self._reference_form(ref)
        if "const" in schema:
            return json.dumps(schema["const"], ensure_ascii=False)
        if isinstance(values := schema.get("enum"), list) and self._most:
            return self._listed_values(values)
        for key in ("anyOf", "oneOf"):
            if isinstance(parts := schema.get(key), list) and "properties" not in schema:
                return _alternatives(self.line(part) for part in parts)
        if isinstance(parts := schema.get("allOf"), list):
            return self.line(
                _merge_schemas([{k: v for k, v in schema.items() if k != "allOf"}, *parts])
            )
        return _alternatives(self._form_of_type(kind, schema) for kind in _types(schema))

    def _reference_form(self, ref: str) -> str:
        if ref in self._open:
            return "…"  # a recursive reference
        target: Any = self._root
        for part in ref.removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if name:
                target = target.get(name) if isinstance(target, dict) else None
        self._open.append(ref)
        text = self.line(target)
        self._open.pop()
        return text

    def _listed_values(self, values: list[Any]) -> str:
        shown = [json.dumps(value, ensure_ascii=False) for value in values[: self._most]]
        return " | ".join(shown + ["…"] * (len(values) > self._most))

    def _form_of_type(self, kind: str, schema: dict[str, Any]) -> str:
        if kind == "object":
            return self._object_form(schema)
        if kind == "array":
            if isinstance(fixed := schema.get("prefixItems"), list):
                return f"[{', '.join(map(self.line, fixed))}]"
            return f"[{self.line(schema.get('items'))}, …]"
        if kind in ("integer", "number") and {"minimum", "maximum"} <= schema.keys():
            return f"{kind} {schema['minimum']} to {schema['maximum']}"
        if kind == "string" and isinstance(schema.get("format"), str):
            return f"string ({schema['format']})"
        return kind

    def _object_form(self, schema: dict[str, Any]) -> str:
        properties, needed = schema.get("properties") or {}, schema.get("required") or []
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}{'?' * (key not in needed)}: {self.line(inner)}"
            for key, inner in properties.items()
        ]
        if isinstance(other := schema.get("additionalProperties"), dict):
            parts.append(f"any key: {self.line(other)}")
        return "{" + (", ".join(parts) or "…") + "}"


def _types(schema: dict[str, Any]) -> list[str]:
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return [kinds]
    if isinstance(kinds, list) and kinds:
        return [str(kind) for kind in kinds]
    return ["object" if "properties" in schema else "array" if "items" in schema else "any"]


def _alternatives(parts: Iterator[str]) -> str:
    return " | ".join(dict.fromkeys(parts)) or "any"


def _merge_schemas(parts: list[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items() if isinstance(part, dict) else ():
            if isinstance(value, dict) and isinstance(out.get(key), dict):
                out[key] = {**out[key], **value}
            elif key == "required" and isinstance(value, list):
                out[key] = [*out.get(key, []), *value]
            else:
                out[key] = value
    return out
