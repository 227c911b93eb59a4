"""Read, infer and check JSON schemas, without network access."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.records.strict_json import strict_json
from tuneworthy.records.task import Task
from tuneworthy.rows.lines import check_text_file
from tuneworthy.sandbox.schemas import SchemaFault, external_reference, schema_check

_MAX_BYTES, _MAX_KEYS, _MAX_ENUM_VALUES = 1_000_000, 100, 20


def read_schema(path: Path, shown: str) -> dict[str, Any]:
    """Return the JSON schema in a file. Raises TaskError if there is none."""
    try:
        check_text_file(path, shown)
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8-sig")
        value = strict_json(text)
    except DataError as error:
        raise TaskError(error.what, where=f"output.schema: {shown}", got=error.got,
                        fix=error.fix) from None  # fmt: skip
    except ValueError as error:
        raise TaskError("the schema is no JSON", where=f"output.schema: {shown}", got=str(error),
                        fix="write a JSON schema object into the file") from None  # fmt: skip
    return checked_schema(value, shown)


def checked_schema(value: Any, shown: str) -> dict[str, Any]:
    """Return the schema if it is valid and refers to nothing outside itself, else TaskError."""
    where = f"output.schema: {shown}"
    if not isinstance(value, dict):
        raise TaskError("the schema is no object", where=where, got=str(value), fix="write {...}")
    try:
        if (ref := external_reference(value)) is not None:
            raise TaskError(
                "a $ref leads outside the schema",
                where=where,
                got=ref,
                fix="copy that part under `$defs` and refer to #/$defs/...",
            )
        schema_check(value)
    except SchemaFault as error:
        raise TaskError("the schema is not valid", where=where, got=str(error),
                        fix="correct it (JSON Schema 2020-12)") from None  # fmt: skip
    return value


def schema_checker(schema: dict[str, Any]) -> Callable[[str], str | None]:
    """Return a function from an answer text to what is wrong with it.

    It returns "" for a valid answer, and None if the check timed out.
    """
    check = schema_check(schema)

    def wrong(text: str) -> str | None:
        try:
            return check(json.loads(text))
        except (ValueError, RecursionError):
            return "not JSON"
        except ArithmeticError as error:
            return f"the answer: {error}"

    return wrong


def inferred_schema(outputs: Iterable[str]) -> dict[str, Any]:
    """Return the schema inferred from the training answers.

    Keys that every object has are required; a key set that looks closed allows no others; a text
    field becomes an enum only if it looks clearly closed (see `_is_closed_set`).
    """
    return _schema_of([json.loads(text) for text in outputs])


def closed_fields(schema: Any, at: str = "") -> Iterator[str]:
    """Yield each text field of a schema that may hold listed values only: "`city` (9 values)"."""
    if not isinstance(schema, dict):
        return
    if "enum" in schema and at:
        yield f"`{quoted(at, 60)}` ({count_noun(len(schema['enum']), 'value')})"
    for key, inner in (schema.get("properties") or {}).items():
        yield from closed_fields(inner, f"{at}.{key}".lstrip("."))
    yield from closed_fields(schema.get("items"), f"{at}[]")
    yield from closed_fields(schema.get("additionalProperties"), f"{at}.*".lstrip("."))


def closed_fields_sentence(task: Task) -> str:
    """Return a sentence on the fields that an inferred schema closes, "" if it closes none."""
    names = list(closed_fields(task.output.json_schema)) if "output.schema" in task.inferred else []
    said = "may hold only values seen in your rows, scored ones too: the schema is inferred"
    return f"{', '.join(names)} {said}" if names else ""


def _schema_of(values: Sequence[Any]) -> dict[str, Any]:
    kinds = sorted({_json_type(value) for value in values})
    if "integer" in kinds and "number" in kinds:
        kinds.remove("integer")
    out: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if not kinds:
        return {}
    if objects := [value for value in values if isinstance(value, dict)]:
        out.update(_object_schema(objects))
    if lists := [value for value in values if isinstance(value, list)]:
        out["items"] = _schema_of([item for items in lists for item in items])
    texts = [value for value in values if isinstance(value, str)]
    if texts and set(kinds) <= {"string", "null"} and _is_closed_set(texts):
        out["enum"] = [*sorted(set(texts)), *([None] if "null" in kinds else [])]
    return out


def _object_schema(objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(key for record in objects for key in record)
    inner: dict[str, list[Any]] = {}
    for record in objects:
        for key, value in record.items():
            inner.setdefault(key, []).append(value)
    rare = sum(n == 1 for n in counts.values())
    if len(counts) > _MAX_KEYS or (len(objects) >= 20 and rare > max(3, len(counts) / 2)):
        return {
            "additionalProperties": _schema_of([v for values in inner.values() for v in values])
        }
    return {
        "properties": {key: _schema_of(values) for key, values in inner.items()},
        "required": [key for key, n in counts.items() if n == len(objects)],
        "additionalProperties": False,
    }


def _is_closed_set(texts: Sequence[str]) -> bool:
    """Return whether texts look like values of a closed set: few, short, each frequent."""
    counts = Counter(texts)
    return (
        len(counts) <= _MAX_ENUM_VALUES
        and len(texts) >= 10 * len(counts)
        and min(counts.values()) >= 3
        and len(counts) > 1
        and max(map(len, counts)) <= 40
    )


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    names = {float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]
