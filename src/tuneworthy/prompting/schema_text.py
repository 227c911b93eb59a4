"""Describe a JSON schema in one short line that a small model can follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

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
