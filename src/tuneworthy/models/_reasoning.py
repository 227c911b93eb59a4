"""Take the reasoning out of a server's reply: fields of the common providers, tags in the text.

The reasoning is no part of the answer; its tokens are counted and priced with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# (opening, closing, whether the closing tag may stand alone: the prompt template opened it)
_TAGS = (
    ("<think>", "</think>", True),
    ("<thinking>", "</thinking>", False),
    ("<seed:think>", "</seed:think>", True),
    ("[THINK]", "[/THINK]", True),
    ("◁think▷", "◁/think▷", True),
)
_FIELDS = ("reasoning_content", "reasoning")  # DeepSeek, vLLM, SGLang; OpenRouter, Groq, Ollama
_PARTS = ("thinking", "reasoning", "redacted_thinking")  # types of parts of a content list


class Separated(NamedTuple):
    """An answer, the reasoning before it, and whether the reply ended inside the reasoning."""

    text: str
    thought: str
    unfinished: bool = False


def separate(text: str) -> Separated:
    """Return the answer in a text and the reasoning in tags before it."""
    rest, thought = text, ""
    while opened := next((tag for tag in _TAGS if rest.lstrip().startswith(tag[0])), None):
        inside = rest.lstrip().removeprefix(opened[0])
        found, closed, after = inside.partition(opened[1])
        thought += found
        if not closed:
            return Separated("", thought, unfinished=True)
        rest = after.lstrip("\r\n ")
    if not thought:
        for opening, closing, alone in _TAGS:
            before, closed, after = rest.partition(closing)
            if closed and alone and opening not in before:
                return Separated(after.lstrip("\r\n "), before)
    return Separated(rest if rest != text else text, thought)


def told(message: Mapping[str, Any]) -> str:
    """Return the reasoning that a message carries in fields of its own, "" where there is none."""
    for name in _FIELDS:
        if isinstance(message.get(name), str) and message[name].strip():
            return str(message[name])
    return _texts(message.get("reasoning_details")) or _texts(
        [part for part in _listed(message.get("content")) if part.get("type") in _PARTS]
    )


def answer_parts(content: list[Any]) -> list[Any]:
    """Return the parts of a content list that are no reasoning."""
    return [p for p in content if not (isinstance(p, dict) and p.get("type") in _PARTS)]


def counted(usage: Mapping[str, Any]) -> int | None:
    """Return the reasoning tokens that a usage record states, None where it states none."""
    for place in ("completion_tokens_details", "output_tokens_details"):
        if isinstance(usage.get(place), dict) and "reasoning_tokens" in usage[place]:
            found = usage[place]["reasoning_tokens"]
            break
    else:
        found = usage.get("reasoning_tokens")
    sane = isinstance(found, int) and not isinstance(found, bool) and found >= 0
    return int(found) if sane else None


def _listed(value: Any) -> list[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _texts(parts: Any) -> str:
    found = []
    for part in _listed(parts):
        value = next((part[k] for k in ("text", "summary", "thinking", "data") if k in part), "")
        found.append(value if isinstance(value, str) else _texts(value))
    return "\n".join(text for text in found if text)
