"""Separate the reasoning from a server's reply: in providers' fields, or in tags in the text.

The reasoning is not part of the answer; its tokens are counted and priced with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# (opening tag, closing tag, whether the prompt template may have opened it already)
_TAGS = (
    ("<think>", "</think>", True),
    ("<thinking>", "</thinking>", False),
    ("<seed:think>", "</seed:think>", True),
    ("[THINK]", "[/THINK]", True),
    ("◁think▷", "◁/think▷", True),
)
_REASONING_FIELDS = (
    "reasoning_content",
    "reasoning",
)  # DeepSeek, vLLM, SGLang; OpenRouter, Groq, Ollama
_REASONING_PARTS = (
    "thinking",
    "reasoning",
    "redacted_thinking",
)  # types of parts of a content list


class Separated(NamedTuple):
    """An answer, the reasoning before it, and whether the reply ended inside the reasoning."""

    text: str
    thought: str
    unfinished: bool = False


def separate(text: str) -> Separated:
    """Return a text's answer, and the reasoning in tags before it."""
    rest, thought = text, ""
    while opened := next((tag for tag in _TAGS if rest.lstrip().startswith(tag[0])), None):
        inside = rest.lstrip().removeprefix(opened[0])
        inner, closed, after = inside.partition(opened[1])
        thought += inner
        if not closed:
            return Separated("", thought, unfinished=True)
        rest = after.lstrip("\r\n ")
    if not thought:
        for opening, closing, alone in _TAGS:
            before, closed, after = rest.partition(closing)
            if closed and alone and opening not in before:
                return Separated(after.lstrip("\r\n "), before)
    return Separated(rest if rest != text else text, thought)


def reasoning_fields(message: Mapping[str, Any]) -> str:
    """Return the reasoning in the fields of a message, "" if there is none."""
    for name in _REASONING_FIELDS:
        if isinstance(message.get(name), str) and message[name].strip():
            return str(message[name])
    return _joined_texts(message.get("reasoning_details")) or _joined_texts(
        [part for part in _dicts_in(message.get("content")) if part.get("type") in _REASONING_PARTS]
    )


def answer_parts(content: list[Any]) -> list[Any]:
    """Return the parts of a content list that are not reasoning."""
    return [p for p in content if not (isinstance(p, dict) and p.get("type") in _REASONING_PARTS)]


def stated_reasoning_tokens(usage: Mapping[str, Any]) -> int | None:
    """Return the number of reasoning tokens in a usage record, None if it has none."""
    for place in ("completion_tokens_details", "output_tokens_details"):
        if isinstance(usage.get(place), dict) and "reasoning_tokens" in usage[place]:
            count = usage[place]["reasoning_tokens"]
            break
    else:
        count = usage.get("reasoning_tokens")
    sane = isinstance(count, int) and not isinstance(count, bool) and count >= 0
    return int(count) if sane else None


def _dicts_in(value: Any) -> list[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _joined_texts(parts: Any) -> str:
    texts = []
    for part in _dicts_in(parts):
        value = next((part[k] for k in ("text", "summary", "thinking", "data") if k in part), "")
        texts.append(value if isinstance(value, str) else _joined_texts(value))
    return "\n".join(text for text in texts if text)
