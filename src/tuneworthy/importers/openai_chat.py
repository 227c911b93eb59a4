"""OpenAI chat and fine-tuning rows: `messages` that end with the right answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.core.imported import ImportedRow, SourceRecord
from tuneworthy.data.raw import FIELDS
from tuneworthy.importers._values import turn

FORMAT = "OpenAI chat rows"
NEEDS = ("messages",)
TAKES = ("the turns of `messages` before the last", "the last turn of `messages`")


def fits(record: SourceRecord) -> bool:
    """Return whether a record has turns with roles, and no sign of another format."""
    turns = record.value.get("messages")
    if not isinstance(turns, list) or not turns or "epoch" in record.value:
        return False
    return all(isinstance(one, dict) and "role" in one for one in turns)


def rows(record: SourceRecord, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row: the turns as they are, and the fields that a row may have beside them."""
    kept = {key: value for key, value in record.value.items() if key in FIELDS}
    yield ImportedRow({**kept, "messages": [turn(one) for one in record.value["messages"]]})
