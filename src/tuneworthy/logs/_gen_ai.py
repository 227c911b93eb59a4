"""A request from OpenTelemetry GenAI attributes, by the names of today and the older ones.

Names since version 1.37 of the semantic conventions: `gen_ai.input.messages`,
`gen_ai.output.messages`, `gen_ai.usage.input_tokens`. Older: `gen_ai.prompt`, `gen_ai.completion`,
`gen_ai.usage.prompt_tokens`, the events `gen_ai.content.prompt`, `gen_ai.user.message` and
`gen_ai.choice`. OpenLLMetry numbers the turns: `gen_ai.prompt.0.content`. Source: "Semantic
conventions for generative AI", opentelemetry.io.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tuneworthy.core.logged import LoggedRequest
from tuneworthy.logs._values import (
    ASSISTANT,
    SYSTEM,
    USER,
    count,
    last_text,
    text,
    turn_text,
    turns,
)

PREFIX = "gen_ai."
GRADES = "gen_ai.evaluation."  # events that grade an answer, given elsewhere
ANSWERING = ("chat", "text_completion", "generate_content", "completion", "responses")
INPUT = ("gen_ai.input.messages", "gen_ai.prompt")
INSTRUCTIONS = "gen_ai.system_instructions"
OUTPUT = ("gen_ai.output.messages", "gen_ai.completion")
_NUMBERED = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,4})\.(role|content|finish_reason)")
_FIRST = {
    "model": ("gen_ai.response.model", "gen_ai.request.model"),
    "tokens_in": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "tokens_out": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "group": ("gen_ai.conversation.id", "session.id"),
    "finish": ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason"),
}


class Event(NamedTuple):
    """An event of a span: its name, and its attributes or body."""

    name: str
    fields: Mapping[str, Any]


def request_of(
    attributes: Mapping[str, Any],
    events: Iterable[Event] = (),
    *,
    time: str | None,
    seconds: float | None,
    span: str = "",
) -> LoggedRequest | None:
    """Return the request that a span or an event describes; None if it asked no model.

    `input` and `answer` stay None where their capture is switched off, as it is by default.
    """
    found = list(events)
    if any(event.name.startswith(GRADES) for event in found):
        return None
    named = any(key.startswith(PREFIX) for key in attributes)
    named = named or any(event.name.startswith(PREFIX) for event in found)
    operation = attributes.get("gen_ai.operation.name") or attributes.get("llm.request.type")
    if not named or (operation is not None and operation not in ANSWERING):
        return None
    given, said = _captured(attributes, INPUT, USER), _captured(attributes, OUTPUT, ASSISTANT)
    for event in found:
        one, other = _from_event(event)
        given, said = one or given, other or said
    first = {name: _first(attributes, keys) for name, keys in _FIRST.items()}
    finish = first["finish"]
    return LoggedRequest(
        input=given,
        answer=said,
        time=time,
        model=text(first["model"]),
        tokens_in=count(first["tokens_in"], "gen_ai.usage.input_tokens"),
        tokens_out=count(first["tokens_out"], "gen_ai.usage.output_tokens"),
        seconds=seconds,
        finish=text(finish[0] if isinstance(finish, list) and finish else finish or None),
        group=text(first["group"]),
        failed=attributes.get("error.type") is not None,
        span=span,
        system=_instructions(attributes, found),
    )


def _instructions(attributes: Mapping[str, Any], events: Iterable[Event]) -> str | None:
    """Return the system prompt: parts of its own, a system turn of the input, or an event."""
    for fields in (attributes, *(event.fields for event in events)):
        if (value := fields.get(INSTRUCTIONS)) is not None:
            parts = turns(value, INSTRUCTIONS)
            if parts is None:
                return text(value) or None
            bare = not any({"role", "parts"} & set(part) for part in parts)
            return turn_text({"parts": parts}) if bare else _system_turns(parts)
        for key in INPUT:
            if found := _system_turns(turns(fields.get(key), key) or ()):
                return found
        if found := _system_turns(_numbered(fields, "prompt")):
            return found
    for event in events:
        if event.name == "gen_ai.system.message":
            given = turns(event.fields.get("gen_ai.event.content"), "gen_ai.event.content")
            return "\n".join(filter(None, map(turn_text, given or [event.fields]))) or None
    return None


def _system_turns(found: Iterable[Mapping[str, Any]]) -> str | None:
    texts = [turn_text(turn) for turn in found if turn.get("role") in SYSTEM]
    return "\n".join(filter(None, texts)) or None


def _first(attributes: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((attributes[key] for key in keys if attributes.get(key) is not None), None)


def _captured(attributes: Mapping[str, Any], keys: tuple[str, str], role: str) -> str | None:
    for key in keys:
        if (value := attributes.get(key)) is not None:
            return _said(value, key, role)
    found = _numbered(attributes, keys[1].removeprefix(PREFIX))
    return last_text(found, role) if found else None


def _numbered(attributes: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the turns that OpenLLMetry numbers, in their order."""
    numbered: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        match = _NUMBERED.fullmatch(key)
        if match and match[1] == kind:
            numbered.setdefault(int(match[2]), {})[match[3]] = value
    return [numbered[at] for at in sorted(numbered)]


def _said(value: Any, key: str, role: str) -> str | None:
    """Return the last text of a role in turns, or the value itself if it is plain text."""
    found = turns(value, key)
    if found is None:
        return text(value) or None
    if not any({"role", "content", "parts"} & set(turn) for turn in found):
        return text(value)  # a JSON answer, not turns
    return last_text(found, role)


def _from_event(event: Event) -> tuple[str | None, str | None]:
    """Return (input, answer) as far as an event gives them."""
    fields = event.fields
    both = _captured(fields, INPUT, USER), _captured(fields, OUTPUT, ASSISTANT)
    body = turns(fields.get("gen_ai.event.content"), "gen_ai.event.content") or [fields]
    if event.name == "gen_ai.user.message":
        return last_text(body, USER) or both[0], both[1]
    if event.name == "gen_ai.choice":
        inner = [found for one in body for found in turns(one.get("message"), "message") or [one]]
        return both[0], last_text(inner, ASSISTANT) or both[1]
    return both
