"""OpenAI chat and fine-tuning rows: `messages` that end with the right answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tuneworthy.records.counting import count_noun
from tuneworthy.rows.bad_rows import ROW_FIELDS, ImportedRow, RawRow
from tuneworthy.rows.chat import parse_json_text, plain_turn

FORMAT = "OpenAI chat rows"
NEEDS = ("messages",)
TAKES = ("the turns of `messages` before the last", "the last turn of `messages`")


def fits(record: RawRow) -> bool:
    """Return whether a record has turns with roles, and no sign of another format."""
    turns = record.fields.get("messages")
    if not isinstance(turns, list) or not turns or "epoch" in record.fields:
        return False
    return all(isinstance(one, dict) and "role" in one for one in turns)


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row: the turns as they are, and the fields that a row may have beside them.

    A right answer that calls tools becomes the JSON text of its calls.
    """
    kept = {key: value for key, value in record.fields.items() if key in ROW_FIELDS}
    turns = [plain_turn(one) for one in record.fields["messages"]]
    if calls := _tool_calls(turns[-1]):
        notes["calls"] = notes.get("calls", 0) + 1
        notes["remark"] = (
            f"{count_noun(notes['calls'], 'right answer')} that called tools: written as JSON, each"
            ' call as {"name", "arguments"}'
        )
        text = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)
        turns[-1] = {"role": "assistant", "content": text}
    yield ImportedRow({**kept, "messages": turns})


def _tool_calls(last: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tool calls of an assistant turn without text, [] for any other turn."""
    calls = last.get("tool_calls")
    if last.get("role") != "assistant" or last.get("content") or not isinstance(calls, list):
        return []
    found = [call.get("function") for call in calls if isinstance(call, dict)]
    asked = [one for one in found if isinstance(one, dict) and one.get("name")]
    if len(asked) < len(calls):
        return []
    return [{"name": one["name"], "arguments": parse_json_text(one.get("arguments") or "{}")}
            for one in asked]  # fmt: skip
