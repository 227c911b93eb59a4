"""OpenAI Evals samples: an input and its `ideal` answer, or several of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.data.raw import ImportedRow, RawRow
from tuneworthy.importers._values import input_fields, right_answer_fields

FORMAT = "OpenAI Evals samples"
NEEDS = ("input", "ideal")
TAKES = ("`input`", "`ideal`")


def fits(record: RawRow) -> bool:
    """Return whether a record has an input and an ideal answer."""
    return {"input", "ideal"} <= record.fields.keys()


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row; every ideal answer is accepted."""
    yield ImportedRow(
        {
            **(input_fields(record.fields["input"]) or {}),
            **right_answer_fields(record.fields["ideal"]),
        }
    )
