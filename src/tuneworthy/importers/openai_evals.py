"""OpenAI Evals samples: an input and its `ideal` answer, or several of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.core.imported import ImportedRow, SourceRecord
from tuneworthy.importers._values import asked, several

FORMAT = "OpenAI Evals samples"
NEEDS = ("input", "ideal")
TAKES = ("`input`", "`ideal`")


def fits(record: SourceRecord) -> bool:
    """Return whether a record has an input and an ideal answer."""
    return {"input", "ideal"} <= record.value.keys()


def rows(record: SourceRecord, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row; every ideal answer is accepted."""
    yield ImportedRow({**(asked(record.value["input"]) or {}), **several(record.value["ideal"])})
