"""Read turns: those of OpenAI chat rows strictly, those of other tools as well as they can be.

The last assistant turn of a row is its answer, the turns before are the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuneworthy.records.case import Message, Speaker
from tuneworthy.records.strict_json import strict_json
from tuneworthy.rows.bad_rows import BadRow

_ROLES: dict[str, Speaker] = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
    "tool": "tool", "function": "tool",
}  # fmt: skip
_ROLE_OF_SPEAKER = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "bot": "assistant", "model": "assistant", "system": "system",
    "function_call": "assistant", "observation": "tool",
    "tool": "tool", "function": "tool", "function_response": "tool",
}  # fmt: skip


def read_chat(turns: Any) -> tuple[tuple[Message, ...], str | None]:
    """Return the turns before the answer, and the answer (None if the last turn is the user's).

    Raises BadRow if roles are unknown or out of order, or content is not text.
    """
    if not isinstance(turns, list) or not turns:
        raise BadRow("`messages` is no list of turns", str(turns), 'write [{"role": ...}]')
    messages = [_read_turn(turn, index) for index, turn in enumerate(turns)]
    answer = None
    if messages[-1].role == "assistant":
        if turns[-1].get("tool_calls"):
            raise BadRow("the answer is a tool call", "tool_calls", "write the call as text")
        answer = messages.pop().content
    _check_order(messages, turns)
    return tuple(messages), answer


def _read_turn(turn: Any, index: int) -> Message:
    if not isinstance(turn, dict):
        raise BadRow(f"turn {index + 1} is no object", str(turn), 'write {"role", "content"}')
    role = turn.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadRow("unknown role", str(role), "write system, user, assistant or tool", "messages")
    content = _read_content(turn.get("content"), index)
    if not content and turn.get("tool_calls"):
        content = json.dumps(turn["tool_calls"], ensure_ascii=False)
    return Message(role=_ROLES[role], content=content)


def _read_content(content: Any, index: int) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise BadRow(f"turn {index + 1} has no text", str(content), "write its content as text")
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind != "text" or not isinstance(part.get("text"), str):
            raise BadRow("a part that is no text", str(kind), "keep the text parts only")
        parts.append(part["text"])
    return "\n".join(parts)


def _check_order(messages: list[Message], turns: list[dict[str, Any]]) -> None:
    roles = [m.role for m in messages]
    if "user" not in roles:
        raise BadRow("no user turn", ", ".join(roles), "add the user's turn before the answer")
    if roles.count("system") > 1 or "system" in roles[1:]:
        raise BadRow("a system turn after the first turn", ", ".join(roles), "keep one, in front")
    if next(r for r in roles if r != "system") == "assistant":
        raise BadRow("the assistant speaks first", ", ".join(roles), "start with a user turn")
    if roles[-1] == "assistant":
        raise BadRow("two answers in a row", ", ".join(roles), "join the last assistant turns")
    for turn, after in zip(turns, [*turns[1:], {}], strict=True):
        if turn.get("tool_calls") and after.get("role") not in {"tool", "function"}:
            raise BadRow("a tool call without its result", "tool_calls", "add the tool's turn")
    if not any(m.content.strip() for m in messages if m.role == "user"):
        raise BadRow("every user turn is empty", "", "write what the user says")


# Turns of other tools.


def plain_turn(value: Mapping[str, Any]) -> dict[str, Any]:
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
