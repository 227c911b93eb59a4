"""Phoenix spans: a table of them, as its client saves it, or the list that its server returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow
from tuneworthy.rows.importers._values import answer_fields, answer_text, input_fields
from tuneworthy.rows.measures import measured_values

FORMAT = "Phoenix spans"
NEEDS = ("span_kind", "attributes.input.value")
TAKES = ("the messages that a model was asked", "nothing: traces hold what was said")
_MOST_TURNS = 1_000


def fits(record: RawRow) -> bool:
    """Return whether a record is a span."""
    return "span_kind" in record.fields and bool(_attributes(record.fields))


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of a span that asked a model; the system has the model's name."""
    if record.fields["span_kind"] != "LLM":
        raise BadRow("a span that asked no model", str(record.fields["span_kind"]), "")
    own = _attributes(record.fields)
    asked = _turns(own, "llm.input_messages") or own.get("input.value")
    said = _turns(own, "llm.output_messages") or own.get("output.value")
    counts = {"tokens_in": "llm.token_count.prompt", "tokens_out": "llm.token_count.completion"}
    found = answer_fields(answer_text(said), **measured_values(own, counts))
    if record.fields.get("status_code") == "ERROR":
        found = found or {"answer": None}
    name = str(own.get("llm.model_name") or "model")
    yield ImportedRow(input_fields(asked) or {}, {name: found} if found else {})


def _attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a span's attributes by name, which in a table are columns `attributes.NAME`."""
    inner = fields.get("attributes")
    if isinstance(inner, Mapping):
        return {name: one for name, one in inner.items() if one is not None}
    front = "attributes."
    return {name.removeprefix(front): one for name, one in fields.items()
            if name.startswith(front) and one is not None}  # fmt: skip


def _turns(own: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return turns with role and content, from a list or from attributes `NAME.0.message.role`."""
    listed = own.get(name)
    if isinstance(listed, list):
        plain = [one for one in listed if isinstance(one, Mapping)]
        found = [{key.removeprefix("message."): one[key] for key in one} for one in plain]
        return [one for one in found if "role" in one]
    found = []
    for at in range(_MOST_TURNS):
        front = f"{name}.{at}.message."
        if f"{front}role" not in own:
            break
        found.append({"role": own[f"{front}role"], "content": own.get(f"{front}content")})
    return found
