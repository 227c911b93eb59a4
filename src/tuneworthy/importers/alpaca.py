"""Alpaca rows: an instruction, perhaps an input, and the right answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.data.raw import ImportedRow, RawRow
from tuneworthy.data.rows import as_text

FORMAT = "Alpaca rows"
NEEDS = ("instruction", "output")
TAKES = ("`instruction` and `input`", "`output`")


def fits(record: RawRow) -> bool:
    """Return whether a record has an instruction and an output."""
    return {"instruction", "output"} <= record.fields.keys()


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row: instruction and input as one text, a `system` text in front of it."""
    value = record.fields
    parts = [as_text(value[key]).strip() for key in ("instruction", "input") if value.get(key)]
    text, system = "\n\n".join(part for part in parts if part), value.get("system")
    fields: dict[str, Any] = {"input": text}
    if isinstance(system, str) and system.strip():
        turns = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        fields = {"messages": turns}
    yield ImportedRow({**fields, "output": value["output"], "id": value.get("id")})
