"""Logged requests in OpenTelemetry GenAI attributes and events, under current and older names.

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

from tuneworthy.records.case import LoggedRequest
from tuneworthy.rows.logs._values import (
    ASSISTANT,
    SYSTEM,
    USER,
    last_text,
    parse_turns,
    token_count,
    turn_text,
    value_text,
)

PREFIX = "gen_ai."
_GRADE_EVENTS = "gen_ai.evaluation."  # events that grade the answer of another span
_ANSWERING_OPERATIONS = ("chat", "text_completion", "generate_content", "completion", "responses")
_INPUT_KEYS = ("gen_ai.input.messages", "gen_ai.prompt")
_INSTRUCTIONS_KEY = "gen_ai.system_instructions"
_OUTPUT_KEYS = ("gen_ai.output.messages", "gen_ai.completion")
_NUMBERED_KEY = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,4})\.(role|content|finish_reason)")
_KEYS_OF_FIELD = {
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
    if any(event.name.startswith(_GRADE_EVENTS) for event in found):
        return None
    named = any(key.startswith(PREFIX) for key in attributes)
    named = named or any(event.name.startswith(PREFIX) for event in found)
    operation = attributes.get("gen_ai.operation.name") or attributes.get("llm.request.type")
    if not named or (operation is not None and operation not in _ANSWERING_OPERATIONS):
        return None
    given, said = (
        _captured_text(attributes, _INPUT_KEYS, USER),
        _captured_text(attributes, _OUTPUT_KEYS, ASSISTANT),
    )
    for event in found:
        one, other = _event_texts(event)
        given, said = one or given, other or said
    first = {name: _first_value(attributes, keys) for name, keys in _KEYS_OF_FIELD.items()}
    finish = first["finish"]
    return LoggedRequest(
        input=given,
        answer=said,
        time=time,
        model=value_text(first["model"]),
        tokens_in=token_count(first["tokens_in"], "gen_ai.usage.input_tokens"),
        tokens_out=token_count(first["tokens_out"], "gen_ai.usage.output_tokens"),
        seconds=seconds,
        finish=value_text(finish[0] if isinstance(finish, list) and finish else finish or None),
        group=value_text(first["group"]),
        failed=attributes.get("error.type") is not None,
        span=span,
        system=_system_prompt(attributes, found),
    )


def _system_prompt(attributes: Mapping[str, Any], events: Iterable[Event]) -> str | None:
    """Return the system prompt: an attribute, a system turn of the input, or an event; or None."""
    for fields in (attributes, *(event.fields for event in events)):
        if (value := fields.get(_INSTRUCTIONS_KEY)) is not None:
            parts = parse_turns(value, _INSTRUCTIONS_KEY)
            if parts is None:
                return value_text(value) or None
            bare = not any({"role", "parts"} & set(part) for part in parts)
            return turn_text({"parts": parts}) if bare else _system_text(parts)
        for key in _INPUT_KEYS:
            if found := _system_text(parse_turns(fields.get(key), key) or ()):
                return found
        if found := _system_text(_numbered_turns(fields, "prompt")):
            return found
    for event in events:
        if event.name == "gen_ai.system.message":
            given = parse_turns(event.fields.get("gen_ai.event.content"), "gen_ai.event.content")
            return "\n".join(filter(None, map(turn_text, given or [event.fields]))) or None
    return None


def _system_text(found: Iterable[Mapping[str, Any]]) -> str | None:
    texts = [turn_text(turn) for turn in found if turn.get("role") in SYSTEM]
    return "\n".join(filter(None, texts)) or None


def _first_value(attributes: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((attributes[key] for key in keys if attributes.get(key) is not None), None)


def _captured_text(attributes: Mapping[str, Any], keys: tuple[str, str], role: str) -> str | None:
    for key in keys:
        if (value := attributes.get(key)) is not None:
            return _text_of_role(value, key, role)
    found = _numbered_turns(attributes, keys[1].removeprefix(PREFIX))
    return last_text(found, role) if found else None


def _numbered_turns(attributes: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the turns in OpenLLMetry's numbered attributes, in order."""
    numbered: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        match = _NUMBERED_KEY.fullmatch(key)
        if match and match[1] == kind:
            numbered.setdefault(int(match[2]), {})[match[3]] = value
    return [numbered[at] for at in sorted(numbered)]


def _text_of_role(value: Any, key: str, role: str) -> str | None:
    """Return the last text of a role in turns, or the value itself if it is plain text; or None."""
    found = parse_turns(value, key)
    if found is None:
        return value_text(value) or None
    if not any({"role", "content", "parts"} & set(turn) for turn in found):
        return value_text(value)  # a JSON answer, not turns
    return last_text(found, role)


def _event_texts(event: Event) -> tuple[str | None, str | None]:
    """Return the (input, answer) texts of an event, None for each that it does not give."""
    fields = event.fields
    both = (
        _captured_text(fields, _INPUT_KEYS, USER),
        _captured_text(fields, _OUTPUT_KEYS, ASSISTANT),
    )
    body = parse_turns(fields.get("gen_ai.event.content"), "gen_ai.event.content") or [fields]
    if event.name == "gen_ai.user.message":
        return last_text(body, USER) or both[0], both[1]
    if event.name == "gen_ai.choice":
        inner = [
            found for one in body for found in parse_turns(one.get("message"), "message") or [one]
        ]
        return both[0], last_text(inner, ASSISTANT) or both[1]
    return both
