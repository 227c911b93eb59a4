"""Read the body of a chat completion request. Knows no model and no HTTP.

A field that is not OpenAI's is refused, as OpenAI does. A field of OpenAI's that we don't support
is refused unless its value changes nothing; fields that only describe the request are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneworthy.handover.serve.chat_reply import ApiError, bad_field
from tuneworthy.records.case import Message
from tuneworthy.records.model import Grammar
from tuneworthy.records.record import Record
from tuneworthy.records.strict_json import strict_json

MOST_MESSAGES, MOST_STOP_WORDS, MOST_ANSWERS, MOST_TOP_LOGPROBS = 1024, 4, 16, 20
_IGNORED_FIELDS = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention", "parallel_tool_calls", "verbosity", "prediction",
}  # fmt: skip
# Unsupported fields of OpenAI's, and the values with which they change nothing.
_NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (None, 0), "presence_penalty": (None, 0), "logit_bias": (None, {}),
    "tools": (None, []), "tool_choice": (None, "none", "auto"), "functions": (None, []),
    "function_call": (None, "none", "auto"), "modalities": (None, ["text"]), "audio": (None,),
    "reasoning_effort": (None,), "web_search_options": (None,),
}  # fmt: skip
_READ_FIELDS = {
    "model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop",
    "seed", "n", "stream", "stream_options", "response_format", "logprobs", "top_logprobs",
}  # fmt: skip
ANY_OBJECT = {"type": "object"}  # the schema of `json_object`
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant",
          "tool": "tool"}  # fmt: skip


class ChatRequest(Record):
    """A chat completion request. A field that the client left out is None or neutral.

    `top` is how many top log-probabilities to return per token, None for no log-probabilities.
    `grammar` is made from `response_format`.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    grammar: Grammar | None = None
    top: int | None = None


def read_request(body: bytes) -> ChatRequest:
    """Return the request in a JSON body. Raises ApiError (400) that names the wrong field."""
    fields = _read_object(body)
    if unknown := sorted(fields.keys() - _READ_FIELDS - _IGNORED_FIELDS - _NEUTRAL_VALUES.keys()):
        raise bad_field(unknown[0], f"Unknown parameter: '{unknown[0][:64]}'.", "unknown_parameter")
    for name, values in _NEUTRAL_VALUES.items():
        if name in fields and not _equals_one(fields[name], values):
            raise bad_field(name, f"'{name}' is not supported by this server.", "unsupported_value")
    limit = [
        _integer_or_none(fields, name, 1, 1 << 20)
        for name in ("max_completion_tokens", "max_tokens")
    ]
    options = fields.get("stream_options") or {}
    if not isinstance(options, dict):
        raise bad_field("stream_options", "'stream_options' must be an object.")
    return ChatRequest(
        model=_model_name(fields),
        messages=_messages(fields),
        temperature=_number_or_none(fields, "temperature", 0, 2),
        top_p=_number_or_none(fields, "top_p", 0, 1, open_low=True),
        max_tokens=next((one for one in limit if one is not None), None),
        stop=_stop_words(fields),
        seed=_integer_or_none(fields, "seed", -(1 << 63), (1 << 63) - 1),
        n=_integer_or_none(fields, "n", 1, MOST_ANSWERS) or 1,
        stream=_boolean_field(fields, "stream"),
        include_usage=_boolean_field(options, "include_usage"),
        grammar=_grammar_of_format(fields),
        top=_top_logprobs(fields),
    )


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        fields = strict_json(body, mend=True)
    except ValueError:
        raise ApiError(400, "The body is not valid JSON in UTF-8.", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "The body must be a JSON object.", code="invalid_json")
    return fields


def _equals_one(value: Any, values: tuple[Any, ...]) -> bool:
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in values)


def _model_name(fields: Mapping[str, Any]) -> str:
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise bad_field("model", "'model' must be a name; GET /v1/models lists them.")
    return model


def _messages(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    given = fields.get("messages")
    if not isinstance(given, list) or not 0 < len(given) <= MOST_MESSAGES:
        raise bad_field("messages", f"'messages' must be a list of 1 to {MOST_MESSAGES} messages.")
    return tuple(_message(one, f"messages[{at}]") for at, one in enumerate(given))


def _message(given: Any, where: str) -> Message:
    role = given.get("role") if isinstance(given, dict) else None
    if not isinstance(role, str) or role not in _ROLES:
        known = ", ".join(_ROLES)
        raise bad_field(f"{where}.role", f"Each message needs a 'role', one of: {known}.")
    if given.get("tool_calls") or given.get("function_call"):
        raise bad_field(f"{where}.tool_calls", "Tool calls are not supported by this server.")
    content = given.get("content")
    if isinstance(content, list):  # joined as in the rows that were measured (rows/chat.py)
        content = "\n".join(_part_text(part, f"{where}.content") for part in content)
    if not isinstance(content, str):
        raise bad_field(f"{where}.content", "'content' must be a text, or a list of text parts.")
    return Message(role=_ROLES[role], content=content)


def _part_text(part: Any, where: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise bad_field(where, "Only parts of the type 'text' are supported.", "unsupported_value")


def _number_or_none(
    fields: Mapping[str, Any], name: str, low: float, high: float, *, open_low: bool = False
) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    sound = isinstance(value, int | float) and not isinstance(value, bool)
    if not sound or not low <= value <= high or (open_low and value == low):
        reach = f"above {low} and at most {high}" if open_low else f"from {low} to {high}"
        raise bad_field(name, f"'{name}' must be a number {reach}.")
    return float(value)


def _integer_or_none(fields: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise bad_field(name, f"'{name}' must be a whole number from {low} to {high}.")
    return value


def _boolean_field(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad_field(name, f"'{name}' must be true or false.")
    return bool(value)


def _stop_words(fields: Mapping[str, Any]) -> tuple[str, ...]:
    value = fields.get("stop")
    words = [value] if isinstance(value, str) else [] if value is None else value
    sound = isinstance(words, list) and all(isinstance(w, str) and w for w in words)
    if not sound or len(words) > MOST_STOP_WORDS or sum(map(len, words)) > 4096:
        raise bad_field("stop", f"'stop' must be a text or at most {MOST_STOP_WORDS} texts.")
    return tuple(words)


def _top_logprobs(fields: Mapping[str, Any]) -> int | None:
    top = _integer_or_none(fields, "top_logprobs", 0, MOST_TOP_LOGPROBS)
    if _boolean_field(fields, "logprobs"):
        return top or 0
    if top:
        raise bad_field("top_logprobs", "'top_logprobs' needs 'logprobs': true.")
    return None


def _grammar_of_format(fields: Mapping[str, Any]) -> Grammar | None:
    name, given = "response_format", fields.get("response_format")
    kind = given.get("type") if isinstance(given, dict) else None
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return Grammar(kind="json", value=ANY_OBJECT)
    inner = given.get("json_schema") if isinstance(given, dict) else None
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if kind != "json_schema":
        raise bad_field(name, "'response_format.type' is text, json_object or json_schema.")
    if not isinstance(schema, dict):
        raise bad_field(name, "'response_format.json_schema.schema' must be an object.")
    return Grammar(kind="json", value=schema)
