"""Build the body of one request: messages, response format, token limit. Sends nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from tuneworthy.records.errors import TaskError
from tuneworthy.records.model import Grammar, Limits, Prompt
from tuneworthy.records.record import canonical
from tuneworthy.records.tokens import text_tokens

LABEL = "label"
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
SWITCH = "chat_template_kwargs"
# parameters that are left out if refused
DROPPED = ("temperature", "top_p", "seed", SWITCH, *TOKEN_LIMITS)
# Model families whose chat template has a switch for thinking, as vLLM and SGLang pass it on.
_THINKING_SWITCHES = (
    (re.compile(r"qwen-?3|qwq|glm-?4\.[5-9]|glm-?[5-9]|smollm-?3|hunyuan", re.I),
     "enable_thinking"),
    (re.compile(r"deepseek-v3\.[1-9]|granite-?(3\.[2-9]|4)", re.I), "thinking"),
)  # fmt: skip
# Hosted APIs with another form of the switch, which the user writes into `options`.
_HOSTS_WITHOUT_SWITCH = ("openai.com", "azure.com", "openrouter.ai", "mistral.ai", "anthropic.com",
           "googleapis.com", "groq.com", "x.ai", "deepseek.com", "aliyuncs.com")  # fmt: skip
_REFUSES = re.compile(
    r"unsupported|not support|n't support|unrecogni[sz]ed|unknown|unexpected|not permitted|"
    r"not allowed|extra_forbidden|extra inputs|cannot both|cannot be specified|deprecated",
    re.I,
)
_TOO_LONG = re.compile(r"context|too (?:large|long|many)", re.I)


@dataclass(frozen=True)
class RequestOptions:
    """Options of requests to an endpoint: the user's fields, parallel requests, message callback.

    `rank` is the highest rank of the adapters that a server started here will load (0: none).
    `family` is the base model's name, where requests name an adapter.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    connections: int = 8
    say: Callable[[str], None] = lambda text: None
    rank: int = 0
    family: str = ""


def body(
    name: str, prompt: Prompt, limits: Limits, form: Any, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the request body without a token limit; the user's `fields` override the defaults."""
    made: dict[str, Any] = {
        "model": name,
        "messages": [{"role": m.role, "content": m.content} for m in prompt],
        "temperature": limits.temperature,
        "top_p": limits.top_p,
        "seed": (limits.seed + 1_000_003 * limits.sample) % 2**31,
    }
    if limits.stop:
        made["stop"] = list(limits.stop)
    if form is not None:
        made["response_format"] = form
    return made | dict(fields)


def switch(name: str, host: str, limits: Limits) -> dict[str, Any]:
    """Return the request field that switches a model's thinking on or off, {} if not known.

    `auto` switches it off: a model then thinks only if it has no switch.
    """
    if any(host == hosted or host.endswith(f".{hosted}") for hosted in _HOSTS_WITHOUT_SWITCH):
        return {}
    for family, key in _THINKING_SWITCHES:
        if family.search(name):
            return {SWITCH: {key: limits.thinking == "on"}}
    return {}


def size(sent: Mapping[str, Any]) -> int:
    """Return an upper bound of the tokens of a request body: a token is at least one byte."""
    return len(canonical(sent).encode("utf-8", "replace")) + 16 * len(sent.get("messages", ()))


def estimated_tokens(prompt: Prompt) -> int:
    """Return an estimate of a prompt's tokens by its kind of text; the tokenizer is unknown."""
    return sum(ceil(text_tokens(m.content)) + 4 for m in prompt) + 3


def refused_parameter(sent: Mapping[str, Any], why: str, parameter: str) -> str:
    """Return the parameter of a request that the server's message `why` refuses, or "".

    `parameter` is the name in the field that some servers send with the error.
    """
    if not _REFUSES.search(why) or (_TOO_LONG.search(why) and parameter not in sent):
        return ""
    if parameter in DROPPED and parameter in sent:
        return parameter
    present = [name for name in DROPPED if name in sent]
    named = [(match.start(), name) for name in present
             if (match := re.search(rf"(?<![A-Za-z_]){name}(?![A-Za-z_])", why))]  # fmt: skip
    return min(named)[1] if named else ""


def response_format(grammar: Grammar | None) -> dict[str, Any] | None:
    """Return the `response_format` field for a grammar, None without one; TaskError for a regex."""
    if grammar is None:
        return None
    if grammar.kind == "regex":
        raise TaskError(
            "servers have no common form for a regular expression",
            got=str(grammar.value),
            fix="use a JSON schema, or run the model with hf:",
        )
    schema = grammar.value
    if grammar.kind == "labels":
        part = {"enum": [str(label) for label in grammar.value]}
        schema = {
            "type": "object",
            "properties": {LABEL: part},
            "required": [LABEL],
            "additionalProperties": False,
        }
    named = {"name": "answer", "schema": schema, "strict": _strict(schema)}
    return {"type": "json_schema", "json_schema": named}


def _strict(schema: Any) -> bool:
    """Return whether a schema can be sent as `strict`: objects closed, every key required."""
    if isinstance(schema, list):
        return all(map(_strict, schema))
    if not isinstance(schema, dict):
        return True
    keys = schema.get("properties")
    if isinstance(keys, dict):
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(keys):
            return False
    return all(map(_strict, schema.values()))


def fields_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the union of sets of request fields: later ones win, nested objects are merged."""
    made: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            both = isinstance(value, dict) and isinstance(made.get(name), dict)
            made[name] = {**made[name], **value} if both else value
    return made
