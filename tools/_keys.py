"""Tables of keys: types and defaults of task.yaml, fields of verdict.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tuneworthy.report.exports import verdict_schema
from tuneworthy.rows.taskfile import task_schema

START = "<!-- Types and defaults: written by tools/reference_pages.py from records/task.py. -->"
HUGE = 100_000  # a limit from here on only refuses nonsense
KINDS = {
    "string": "text", "integer": "whole number", "boolean": "true or false",
    "object": "`{name: value}`", "array": "list",
}  # fmt: skip
KEYS_HEAD = """## Types and defaults

`tuneworthy init` writes the same as `task.schema.json`, for editors. A key inside a section is
written with a dot here. Where a run chooses a default itself (`seeds`), the text above says so.

| key | may be | default |
|---|---|---|
"""
VERDICT_HEAD = """# verdict.json

`tuneworthy run --json` prints it, and every results folder holds it. `null` means not measured, and
`missing` says why. Scores and shares go from 0 to 1. The JSON schema is shipped as
`tuneworthy/report/verdict.schema.json`; a change that breaks readers raises `schema`."""


def with_key_table(text: str) -> str:
    """Return the page of the task file with its table of types and defaults written again."""
    return text.partition(START)[0].rstrip() + f"\n\n{START}\n\n{key_table()}"


def key_table() -> str:
    """Return the section with every key of task.yaml, what it may be, and its default."""
    schema = task_schema()
    rows = (f"| `{key}` | {kind} | {default} |" for key, kind, default in _rows(schema, schema))
    return KEYS_HEAD + "\n".join(rows) + "\n"


def _rows(
    schema: dict[str, Any], part: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    for name, prop in part["properties"].items():
        key = f"{prefix}{name}"
        inner = _section(schema, prop)
        named = _section(schema, prop.get("additionalProperties"))
        if named:
            yield from _rows(schema, named, f"{key}.NAME.")
        elif inner is None:
            yield key, _kind(schema, prop), _default(name, part, prop)
        else:
            yield from _rows(schema, inner, f"{key}.")


def _section(schema: dict[str, Any], prop: Any) -> dict[str, Any] | None:
    """Return the record that a property holds, or None if it holds a plain value."""
    if not isinstance(prop, dict):
        return None
    for one in [prop, *prop.get("anyOf", [])]:
        if "$ref" in one:
            target: dict[str, Any] = schema["$defs"][one["$ref"].rpartition("/")[2]]
            return target if "properties" in target else None
    return None


def _default(name: str, part: dict[str, Any], prop: dict[str, Any]) -> str:
    if name in part.get("required", ()):
        return "required"
    value = prop.get("default")
    if isinstance(value, float):
        return f"`{value:g}`"
    return "" if value in (None, "", {}, []) else f"`{json.dumps(value)}`".replace('"', "")


def _kind(schema: dict[str, Any], prop: dict[str, Any]) -> str:
    """Return in words what a value may be: type, range, allowed words."""
    if "anyOf" in prop:
        kinds = [_kind(schema, one) for one in prop["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in prop:
        return str(prop["$ref"]).rpartition("/")[2]
    if words := prop.get("enum", [prop["const"]] if "const" in prop else None):
        return ", ".join(f"`{word}`" for word in words)
    kind = str(prop.get("type", "any value"))
    if kind == "array":
        items = prop.get("items")
        return f"list of {_kind(schema, items)}" if items else "list"
    return KINDS.get(kind, kind) + _range(prop)


def _range(prop: dict[str, Any]) -> str:
    """Return the range of a number in words; a limit that only keeps numbers sane is left out."""
    least, most = prop.get("minimum"), prop.get("maximum", HUGE)
    if least is not None and most < HUGE:
        return f", {least:g} to {most:g}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
    limits = [f"{word} {prop[key]:g}" for key, word in words.items() if prop.get(key, HUGE) < HUGE]
    return f", {' and '.join(limits)}" if limits else ""


def verdict_page() -> str:
    """Return the page of verdict.json, a table a record, from the schema that is shipped."""
    schema = verdict_schema()
    parts = [VERDICT_HEAD, _table(schema, schema)]
    for name, record in schema["$defs"].items():
        parts += [f"## {name}", record.get("description", ""), _table(schema, record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(schema: dict[str, Any], record: dict[str, Any]) -> str:
    rows = ["| field | type | meaning |", "|---|---|---|"]
    for name, prop in record["properties"].items():
        null = any(one.get("type") == "null" for one in prop.get("anyOf", ()))
        kind = _linked(schema, prop) + (" or null" if null else "")
        rows.append(f"| `{name}` | {kind} | {' '.join(prop.get('description', '').split())} |")
    return "\n".join(rows)


def _linked(schema: dict[str, Any], prop: dict[str, Any]) -> str:
    text = _kind(schema, prop)
    for name in schema["$defs"]:
        if text.split()[-1] == name:
            return text.removesuffix(name) + f"[{name}](#{name.lower()})"
    return text


def without_meaning() -> list[str]:
    """Return the fields of verdict.json that have no description."""
    schema = verdict_schema()
    records = {"": schema, **schema["$defs"]}
    return [
        f"{name}.{field}"
        for name, record in records.items()
        for field, prop in record["properties"].items()
        if "description" not in prop
    ]
