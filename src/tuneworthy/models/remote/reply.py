"""Convert the JSON of a chat completion to a Reply: text, token counts, finish reason.

Any server output yields a Reply; impossible values become None. Knows no price.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from tuneworthy.models.remote.endpoint_facts import ANSWERS, EndpointFacts
from tuneworthy.models.remote.request import LABEL
from tuneworthy.models.remote.wire import Outcome
from tuneworthy.records.answer import LOST_WORDS, Finish, Lost
from tuneworthy.records.errors import ModelError, ProviderError
from tuneworthy.records.model import Grammar, Limits, Reply
from tuneworthy.store import signals

_MOST_NAME_CHARACTERS = 200  # kept of a model's name or fingerprint
_MOST_REQUEST_TOKENS = 10_000_000  # of one request: above any context window, so more is no count
_MOST_TOKEN_BYTES = 256  # longer than any token; fewer tokens than a text has bytes by it: no count


def read_reply(answer: Mapping[str, Any], limits: Limits, asked: int) -> Reply:
    """Return the reply in a completion to a request of at most `asked` tokens.

    A server may count more than that: some ignore the limit, others reason outside it. Only counts
    that no request can have are impossible.
    A reply that ends inside its reasoning has an empty text. Reasoning tokens that a server does
    not count are estimated by the share of characters.
    """
    choice = answer["choices"][0]
    content, wrong = _content(choice["message"])
    parted = separate(content)
    thought = _reasoning_fields(choice["message"]) or parted.thought
    finish, odd = _finish(choice.get("finish_reason"))
    usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
    reasons = bool(thought.strip()) or parted.unfinished
    if reasons or _stated_reasoning_tokens(usage):
        wrong = ""  # a reply that is all reasoning has no text, which is no fault
    text = parted.text
    if limits.grammar is not None and limits.grammar.kind == "labels":
        text = _label_in(text)
    least = -(-len(content.encode("utf-8", "replace")) // _MOST_TOKEN_BYTES)
    used = _tokens(usage, least, max(asked, _MOST_REQUEST_TOKENS))
    if used["tokens_thought"] is None and reasons:
        used["tokens_thought"] = _estimate_reasoning(used["tokens_out"], thought, text)
    own = (used["tokens_out"] or 0) - (used["tokens_thought"] or 0)
    if choice.get("finish_reason") is None and own >= limits.max_tokens:
        finish = "length"  # some servers end every answer with null, cut ones included
    return Reply(
        text=text,
        finish="error" if wrong or odd else finish,
        error=wrong or odd or None,
        served=served_name(answer.get("model")),
        system_fingerprint=served_name(answer.get("system_fingerprint")),
        **used,
    )


def _content(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return (text of a message, ""), or ("", what is wrong) if it has no usable text."""
    content = message.get("content")
    if isinstance(content, list):
        kept = _answer_parts(content)
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
    """Return (finish, "") for a server's finish reason, or ("error", what is wrong)."""
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


def _tokens(usage: Mapping[str, Any], least: int, most: int) -> dict[str, int | None]:
    """Return {Reply field: tokens or None} of a usage record; `tokens_out` has reasoning."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    prompt = count_tokens(usage.get("prompt_tokens"), most, 1)
    made = count_tokens(usage.get("completion_tokens"), most, least)
    reasoned = count_tokens(_stated_reasoning_tokens(usage), most)
    if reasoned and made is not None and prompt is not None:
        # xAI, Gemini count it separately
        separate = usage.get("total_tokens") == prompt + made + reasoned
        made = count_tokens(made + reasoned, most) if separate or reasoned > made else made
    return {"tokens_in": prompt, "tokens_out": made, "tokens_thought": reasoned,
            "tokens_cached": count_tokens(cached, prompt or 0)}  # fmt: skip


def _estimate_reasoning(made: int | None, thought: str, text: str) -> int:
    """Return reasoning tokens estimated from the share of characters, at least 1."""
    if made is None:
        return max(1, len(thought) // 4)
    share = len(thought) / (len(thought) + len(text)) if thought or text else 1.0
    return min(made, max(1, round(made * share)))


def count_tokens(value: Any, most: int, least: int = 0) -> int | None:
    """Return a server's count of tokens if it is one from `least` to `most`, else None."""
    sane = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    return value if sane else None


def served_name(value: Any) -> str | None:
    """Return the name that a server gives its model, None if it gives none."""
    return value.strip()[:_MOST_NAME_CHARACTERS] or None if isinstance(value, str) else None


_GIVE_UP = 8  # failures without any answer after which the endpoint is at fault


class _Failure(NamedTuple):
    outcome: Outcome
    error: ProviderError
    again: bool  # it used up its attempts in an earlier run too


class Call:
    """Shared state of the prompts of one call: failures, whether any was answered, when to stop."""

    def __init__(self, learned: EndpointFacts, prompts: int) -> None:
        self.stop, self.answered = threading.Event(), False
        self._learned, self._prompts = learned, prompts
        self._failures: list[_Failure] = []
        self._lock = threading.Lock()

    def wait(self, seconds: float) -> None:
        """Wait `seconds` before another attempt, less if the call or the study is stopped."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.stop.wait(min(left, 0.2)):
            signals.check()

    def fail(self, outcome: Outcome, error: ProviderError, key: str) -> Reply:
        """Record a failed prompt and return its error reply; raise if the endpoint is at fault."""
        with self._lock:
            again = outcome.kind == "retry" and self._failed_before(key)
            self._failures.append(_Failure(outcome, error, again))
            counted = [f for f in self._failures if not f.again and not f.outcome.alone]
            if self._learned.get(ANSWERS) is not None:  # a refusal costs nothing: do not count it
                counted = [f for f in counted if f.outcome.kind != "row"]
            hopeless = len(counted) >= _GIVE_UP and not self.answered
        if outcome.kind == "fatal" or hopeless or (outcome.down and not again):
            self.stop.set()
            raise error
        passing = outcome.kind == "retry" and not outcome.alone
        may_come = passing and (outcome.billed is False or not again)
        lost: Lost | None = "for now" if may_come else None
        why = (LOST_WORDS[lost] if lost else "") + (outcome.why or "no answer in time")
        return Reply(text="", finish="error", error=why, lost=lost)

    def end(self) -> None:
        """Raise if no prompt of the finished call was answered and the endpoint is at fault."""
        if self.answered or not self._failures:
            return
        answered_before, many = self._learned.get(ANSWERS) is not None, self._prompts >= _GIVE_UP
        first = self._failures[0].error
        if all(f.outcome.alone for f in self._failures):
            if many and not answered_before:
                raise first
        elif answered_before and many and all(f.outcome.kind == "row" for f in self._failures):
            raise ModelError(
                "the endpoint refuses every request of this kind, and answers others",
                where=first.where,
                got=first.got,
                fix="leave this arm out, or change `options` so that the server takes its requests",
            )
        else:
            for failure in self._failures:
                outcome = failure.outcome
                prompts_fault = outcome.kind == "row" or (failure.again and not outcome.down)
                if not (prompts_fault and answered_before) and not outcome.alone:
                    raise failure.error

    def _failed_before(self, key: str) -> bool:
        """Record that a request failed; return whether it failed in an earlier run of the study."""
        fact = f"failed {key}"
        before = self._learned.earlier(fact)
        self._learned.learn(fact, {"failed": True})
        return before


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


class _Separated(NamedTuple):
    """An answer, the reasoning before it, and whether the reply ended inside the reasoning."""

    text: str
    thought: str
    unfinished: bool = False


def separate(text: str) -> _Separated:
    """Return a text's answer, and the reasoning in tags before it."""
    rest, thought = text, ""
    while opened := next((tag for tag in _TAGS if rest.lstrip().startswith(tag[0])), None):
        inside = rest.lstrip().removeprefix(opened[0])
        inner, closed, after = inside.partition(opened[1])
        thought += inner
        if not closed:
            return _Separated("", thought, unfinished=True)
        rest = after.lstrip("\r\n ")
    if not thought:
        for opening, closing, alone in _TAGS:
            before, closed, after = rest.partition(closing)
            if closed and alone and opening not in before:
                return _Separated(after.lstrip("\r\n "), before)
    return _Separated(rest if rest != text else text, thought)


def _reasoning_fields(message: Mapping[str, Any]) -> str:
    """Return the reasoning in the fields of a message, "" if there is none."""
    for name in _REASONING_FIELDS:
        if isinstance(message.get(name), str) and message[name].strip():
            return str(message[name])
    return _joined_texts(message.get("reasoning_details")) or _joined_texts(
        [part for part in _dicts_in(message.get("content")) if part.get("type") in _REASONING_PARTS]
    )


def _answer_parts(content: list[Any]) -> list[Any]:
    """Return the parts of a content list that are not reasoning."""
    return [p for p in content if not (isinstance(p, dict) and p.get("type") in _REASONING_PARTS)]


def _stated_reasoning_tokens(usage: Mapping[str, Any]) -> int | None:
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
