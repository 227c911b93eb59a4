"""TensorZero datapoints, whose output is right, and inferences, whose output is an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow
from tuneworthy.rows.importers._values import answer_fields, nested_value, text_lines
from tuneworthy.rows.rows import as_text

FORMAT = "a TensorZero data set"
NEEDS = ("function_name", "input.messages", "output")
TAKES = ("`input`", "`output` of a datapoint")


def fits(record: RawRow) -> bool:
    """Return whether a record belongs to a function and has its input."""
    return "function_name" in record.fields and isinstance(record.fields.get("input"), dict)


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of a datapoint, or of an inference with its variant's answer."""
    value, given = record.fields, record.fields["input"]
    said = given.get("messages")
    turns = [
        _turn(one) for one in (said if isinstance(said, list) else ()) if isinstance(one, dict)
    ]
    if system := given.get("system"):
        words = text_lines(system) if isinstance(system, dict) else as_text(system)
        turns.insert(0, {"role": "system", "content": words})
    if value.get("staled_at"):
        raise BadRow("a datapoint that was replaced", str(value["staled_at"]), "")
    name, text = value.get("variant_name"), _output_text(value.get("output"))
    fields: dict[str, Any] = {"messages": turns, "id": value.get("id", value.get("inference_id"))}
    if name is None:
        yield ImportedRow({**fields, "output": text})
        return
    seconds = value.get("processing_time_ms")
    seconds = seconds / 1000 if isinstance(seconds, int | float) else None
    found = answer_fields(text, seconds=seconds)
    yield ImportedRow(fields, {str(name): found} if found else {})


def _turn(value: dict[str, Any]) -> dict[str, Any]:
    return {"role": value.get("role"), "content": _blocks_text(value.get("content"))}


def _blocks_text(value: Any) -> str:
    """Return the text of content blocks; a template's arguments become lines."""
    texts = []
    for one in value if isinstance(value, list) else [value]:
        found = one
        if isinstance(one, dict):
            found = next((one[key] for key in ("text", "value", "arguments") if key in one), None)
            if one.get("type") not in ("text", "raw_text", "template", None) or found is None:
                raise BadRow("a part that is no text", str(one.get("type")), "keep the text only")
        texts.append(text_lines(found) if isinstance(found, dict) else as_text(found))
    return "\n".join(texts)


def _output_text(value: Any) -> str | None:
    """Return the text of an output: its text blocks, or the raw text of a JSON function."""
    if isinstance(value, dict):
        raw, parsed = value.get("raw"), nested_value(value, "parsed")
        return raw if isinstance(raw, str) else None if parsed is None else as_text(parsed)
    return _blocks_text(value) if value else None
