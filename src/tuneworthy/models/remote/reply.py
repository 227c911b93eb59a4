"""Convert the JSON of a chat completion to a Reply: text, token counts, finish reason.

Any server output yields a Reply; impossible values become None. Knows no price.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuneworthy.core.answer import Finish
from tuneworthy.core.model import Grammar, Limits, Reply
from tuneworthy.models.remote import reasoning as _reasoning
from tuneworthy.models.remote.request import LABEL

MOST_NAME_CHARACTERS = 200  # kept of a model's name or fingerprint
MOST_REQUEST_TOKENS = 10_000_000  # of one request: above any context window, so more is no count


def read_reply(answer: Mapping[str, Any], limits: Limits, asked: int) -> Reply:
    """Return the reply in a completion to a request of at most `asked` tokens.

    A server may count more than that: some ignore the limit, others reason outside it. Only counts
    that no request can have are impossible.
    A reply that ends inside its reasoning has an empty text. Reasoning tokens that a server does
    not count are estimated by the share of characters.
    """
    choice = answer["choices"][0]
    content, wrong = _content(choice["message"])
    parted = _reasoning.separate(content)
    thought = _reasoning.reasoning_fields(choice["message"]) or parted.thought
    finish, odd = _finish(choice.get("finish_reason"))
    usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
    reasons = bool(thought.strip()) or parted.unfinished
    if reasons or _reasoning.stated_reasoning_tokens(usage):
        wrong = ""  # a reply that is all reasoning has no text, which is no fault
    text = parted.text
    if limits.grammar is not None and limits.grammar.kind == "labels":
        text = _label_in(text)
    used = _tokens(usage, max(asked, MOST_REQUEST_TOKENS))
    if used["tokens_thought"] is None and reasons:
        used["tokens_thought"] = _estimate_reasoning(used["tokens_out"], thought, text)
    return Reply(
        text=text,
        finish="error" if wrong or odd else finish,
        error=wrong or odd or None,
        served=_name(answer.get("model")),
        system_fingerprint=_name(answer.get("system_fingerprint")),
        **used,
    )


def _content(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text of a message, and what is wrong with it, or ""."""
    content = message.get("content")
    if isinstance(content, list):
        kept = _reasoning.answer_parts(content)
        parts = [part.get("text") for part in kept if isinstance(part, dict)]
        if len(parts) == len(kept) and all(isinstance(part, str) for part in parts):
            return "".join(str(part) for part in parts), ""
        return "", "the answer has parts other than text"
    if isinstance(content, str):
        return content, ""
    if isinstance(message.get("refusal"), str):
        return str(message["refusal"]), ""
    return "", "the answer has no text"


def _finish(reason: Any) -> tuple[Finish, str]:
    """Return the finish of a finish reason, and what is wrong with it, or ""."""
    # some servers end a complete answer with null
    if reason is None or reason in ("stop", "eos", "end_turn"):
        return "stop", ""
    if reason in ("length", "max_tokens"):
        return "length", ""
    if reason == "content_filter":
        return "error", "the provider's content filter held the answer back"
    if reason in ("tool_calls", "function_call"):
        return "error", "the model called a tool in place of an answer"
    return "error", f"the server ended the answer with {str(reason)[:40]!r}"


def has_form(text: str, grammar: Grammar | None) -> bool:
    """Return whether the text of a whole answer is JSON, or one of the labels, as was asked for."""
    if grammar is None:
        return True
    if grammar.kind == "labels":
        return text.strip() in map(str, grammar.value)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _label_in(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(value[LABEL]) if isinstance(value, dict) and LABEL in value else text


def _tokens(usage: Mapping[str, Any], most: int) -> dict[str, int | None]:
    """Return the token counts of a usage record; `tokens_out` includes reasoning."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    prompt, made = (_count(usage.get(k), most) for k in ("prompt_tokens", "completion_tokens"))
    reasoned = _count(_reasoning.stated_reasoning_tokens(usage), most)
    if reasoned and made is not None and prompt is not None:
        # xAI, Gemini count it separately
        separate = usage.get("total_tokens") == prompt + made + reasoned
        made = _count(made + reasoned, most) if separate or reasoned > made else made
    return {"tokens_in": prompt, "tokens_out": made, "tokens_cached": _count(cached, prompt or 0),
            "tokens_thought": reasoned}  # fmt: skip


def _estimate_reasoning(made: int | None, thought: str, text: str) -> int:
    """Return reasoning tokens estimated from the share of characters, at least 1."""
    if made is None:
        return max(1, len(thought) // 4)
    share = len(thought) / (len(thought) + len(text)) if thought or text else 1.0
    return min(made, max(1, round(made * share)))


def _count(value: Any, most: int) -> int | None:
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
    return value if sane else None


def _name(value: Any) -> str | None:
    return value.strip()[:MOST_NAME_CHARACTERS] or None if isinstance(value, str) else None
