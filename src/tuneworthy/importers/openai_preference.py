"""OpenAI preference rows: an input, the preferred answer, and one that is not preferred."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.data.raw import ImportedRow, RawRow
from tuneworthy.importers._values import answer_text, input_fields

FORMAT = "OpenAI preference rows"
NEEDS = ("input.messages", "preferred_output")
TAKES = ("`input`", "`preferred_output`")


def fits(record: RawRow) -> bool:
    """Return whether a record has an input and a preferred answer."""
    return isinstance(record.fields.get("input"), dict) and "preferred_output" in record.fields


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row with the preferred answer as the right one, without the other answer."""
    fields = input_fields(record.fields["input"]) or {}
    yield ImportedRow({**fields, "output": answer_text(record.fields["preferred_output"])})
