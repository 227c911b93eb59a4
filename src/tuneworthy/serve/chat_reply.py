"""Write answers as chat completion objects and stream chunks. Knows no model and no HTTP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.core.answer import Answer

Logprobs = list[dict[str, Any]]


@dataclass(frozen=True)
class Envelope:
    """What all objects of one reply share: its id, its time (seconds), the model that answers."""

    id: str
    created: int
    model: str
    fingerprint: str

    def head(self, kind: str) -> dict[str, Any]:
        """Return the first fields of an object."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def completion(
    envelope: Envelope, answers: Sequence[Answer], logs: Sequence[Logprobs | None]
) -> dict[str, Any]:
    """Return a whole chat completion, one choice an answer."""
    choices = [
        {
            "index": at,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "logprobs": log and {"content": log, "refusal": None},
            "finish_reason": answer.finish or "stop",
        }
        for at, (answer, log) in enumerate(zip(answers, logs, strict=True))
    ]
    return {**envelope.head("chat.completion"), "choices": choices, "usage": usage(answers)}


def usage(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """Return the tokens of a request, None where the model does not count them.

    The prompt counts once, as OpenAI counts it. An answer without a model has 0 tokens.
    """
    prompt = answers[0].tokens_in
    made = [answer.tokens_out for answer in answers]
    if prompt is None or any(count is None for count in made):
        return None
    out = sum(count or 0 for count in made)
    thought = [answer.tokens_thought for answer in answers]
    details: dict[str, Any] = {"prompt_tokens_details": {
        "cached_tokens": answers[0].tokens_cached or 0}}  # fmt: skip
    if None not in thought:
        details["completion_tokens_details"] = {"reasoning_tokens": sum(t or 0 for t in thought)}
    return {"prompt_tokens": prompt, "completion_tokens": out, "total_tokens": prompt + out,
            **details}  # fmt: skip


def chunk(envelope: Envelope, choices: Sequence[dict[str, Any]], **more: Any) -> bytes:
    """Return one server-sent event with a chat completion chunk."""
    return event({**envelope.head("chat.completion.chunk"), "choices": list(choices), **more})


def delta(
    at: int, text: str | None, *, finish: str | None = None, log: Logprobs | None = None,
    first: bool = False
) -> dict[str, Any]:  # fmt: skip
    """Return a choice of a chunk: the next part of the text of answer number `at`."""
    part: dict[str, Any] = {"role": "assistant"} if first else {}
    if text is not None:
        part["content"] = text
    return {"index": at, "delta": part, "finish_reason": finish,
            "logprobs": {"content": log, "refusal": None} if log else None}  # fmt: skip


def event(data: dict[str, Any]) -> bytes:
    """Return a server-sent event. JSON holds no line break, so one data line is enough."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
