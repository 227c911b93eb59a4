"""ShareGPT rows: `conversations` of turns with a speaker (`from`) and a text (`value`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.data.raw import BadRow, ImportedRow, RawRow

FORMAT = "ShareGPT rows"
NEEDS = ("conversations",)
TAKES = ("the turns of `conversations` before the last", "the last turn")
_ROLE_OF_SPEAKER = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "bot": "assistant", "model": "assistant", "system": "system",
    "function_call": "assistant", "observation": "tool",
    "tool": "tool", "function_response": "tool",
}  # fmt: skip


def fits(record: RawRow) -> bool:
    """Return whether a record has conversations of turns."""
    turns = _turns(record)
    return bool(turns) and all(
        isinstance(one, dict) and ("from" in one or "role" in one) for one in turns
    )


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row: its turns by role; a `system` text beside them comes first."""
    turns = []
    for one in _turns(record):
        speaker = str(one.get("from", one.get("role"))).lower()
        if speaker not in _ROLE_OF_SPEAKER:
            raise BadRow("unknown speaker", speaker, f"write one of {', '.join(_ROLE_OF_SPEAKER)}")
        content = one.get("value", one.get("content"))
        turns.append({"role": _ROLE_OF_SPEAKER[speaker], "content": content})
    system = record.fields.get("system")
    if isinstance(system, str) and system.strip() and turns[0]["role"] != "system":
        turns.insert(0, {"role": "system", "content": system})
    if turns[0]["role"] == "assistant":
        raise BadRow("the assistant speaks first", "", "start with a user turn")
    yield ImportedRow({"messages": turns, "id": record.fields.get("id")})


def _turns(record: RawRow) -> list[Any]:
    turns = record.fields.get("conversations", record.fields.get("conversation"))
    return turns if isinstance(turns, list) else []
