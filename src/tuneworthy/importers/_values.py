"""Read values of foreign records: inputs, answers, turns of a conversation, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneworthy.core.strict_json import strict_json
from tuneworthy.data.raw import BadRow
from tuneworthy.data.rows import as_text

Fields = dict[str, Any]
_ROLE_OF_SPEAKER = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "bot": "assistant", "model": "assistant", "system": "system",
    "function_call": "assistant", "observation": "tool",
    "tool": "tool", "function": "tool", "function_response": "tool",
}  # fmt: skip


def input_fields(value: Any) -> Fields | None:
    """Return {"messages"} for turns and {"input"} for any other value; None if it is empty.

    Turns may be a list, an object with `messages`, or the JSON text of one of the two. An object of
    several texts becomes one line per text, an object of one text that text.
    """
    value = parse_json_text(value)
    if isinstance(value, dict) and are_turns(value.get("messages")):
        value = value["messages"]
    if are_turns(value):
        return {"messages": [plain_turn(one) for one in value]}
    if isinstance(value, dict):
        value = text_lines(value)
    return {"input": as_text(value)} if value not in (None, "", [], {}) else None


def answer_text(value: Any) -> str | None:
    """Return an answer as text, that of the (last) turn, other values as JSON; None if empty."""
    value = parse_json_text(value)
    if isinstance(value, dict) and isinstance(value.get("role"), str):
        value = [value]
    if are_turns(value):
        value = plain_turn(value[-1])["content"]
    return as_text(value) if value not in (None, "") else None


def plain_turn(value: Mapping[str, Any]) -> Fields:
    """Return a turn with its content as one text, the texts of its parts one below the other.

    ShareGPT names the speaker under `from`. Raises BadRow for one that is not known.
    """
    role = value.get("role")
    if "role" not in value:
        speaker = str(value.get("from")).lower()
        if speaker not in _ROLE_OF_SPEAKER:
            raise BadRow("unknown speaker", speaker, f"write one of {', '.join(_ROLE_OF_SPEAKER)}")
        role = _ROLE_OF_SPEAKER[speaker]
    content = next((value[key] for key in ("content", "parts", "value") if key in value), None)
    if isinstance(content, str) and "tool_calls" not in value:
        return {"role": role, "content": content}
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        texts = [_part_text(part) for part in content]
        content = "\n".join(texts) if None not in texts else content  # type: ignore[arg-type]
    calls = {"tool_calls": value["tool_calls"]} if "tool_calls" in value else {}
    return {"role": role, **calls, "content": content}


def _part_text(part: Mapping[str, Any]) -> str | None:
    if part.get("type", "text") not in ("text", "input_text", "output_text"):
        return None
    text = part.get("text", part.get("content", part.get("value")))
    return text if isinstance(text, str) else None


def are_turns(value: Any) -> bool:
    """Return whether a value is a list of turns, each with its role or speaker."""
    return isinstance(value, list) and bool(value) and all(
        isinstance(one, dict) and isinstance(one.get("role", one.get("from")), str)
        for one in value
    )  # fmt: skip


def parse_json_text(value: Any) -> Any:
    """Return the parsed value of a JSON list or object; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"[", "{"}:
        try:
            found = strict_json(value)
        except ValueError:
            return value
        return found if isinstance(found, list | dict) else value
    return value


def text_lines(value: Mapping[str, Any]) -> str:
    """Return the text of the only value, else `name: value` lines of the values not empty."""
    kept = {key: one for key, one in value.items() if one not in (None, "")}
    if len(kept) == 1:
        return as_text(next(iter(kept.values())))
    return "\n".join(f"{key}: {as_text(one)}" for key, one in kept.items())


def answer_fields(text: str | None, **measured: Any) -> Fields | None:
    """Return {"answer": text} with the measured numbers above 0 (usd, …), None without text."""
    if text is None:
        return None
    numbers = {
        key: value
        for key, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    }
    return {"answer": text, **numbers}


def right_answer_fields(values: Any) -> Fields:
    """Return the fields of right answers: the first as `output`, the others as `accepted`."""
    texts = [as_text(one) for one in (values if isinstance(values, list) else [values])
             if one not in (None, "")]  # fmt: skip
    texts = list(dict.fromkeys(texts))
    if not texts:
        return {}
    return {"output": texts[0]} | ({"accepted": texts[1:]} if texts[1:] else {})


def nested_value(value: Any, *keys: str) -> Any:
    """Return the value at nested keys, None if one of them is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
