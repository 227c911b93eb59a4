"""Write answers as chat completion objects and stream chunks. Knows no model and no HTTP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.models.local.token_bytes import token_bytes
from tuneworthy.records.answer import Answer
from tuneworthy.records.record import well_formed

Logprobs = list[dict[str, Any]]


@dataclass(frozen=True)
class Envelope:
    """The fields that all objects of one reply share: id, time (Unix seconds), model."""

    id: str
    created: int
    model: str
    fingerprint: str

    def head(self, kind: str) -> dict[str, Any]:
        """Return the shared fields as JSON, for an object of this kind."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def completion(
    envelope: Envelope,
    answers: Sequence[Answer],
    logs: Sequence[Logprobs | None],
    sure_from: float | None = None,
) -> dict[str, Any]:
    """Return a chat completion object with a choice for each answer and its log-probabilities.

    A choice whose answer states a probability has it, and whether it lies below `sure_from`, so
    that the answer is to be handed over, in the field `tuneworthy`.
    """
    choices = [
        {
            "index": at,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "logprobs": log and {"content": log, "refusal": None},
            "finish_reason": answer.finish or "stop",
            **_sureness(answer, sure_from),
        }
        for at, (answer, log) in enumerate(zip(answers, logs, strict=True))
    ]
    return {**envelope.head("chat.completion"), "choices": choices, "usage": usage(answers)}


def _sureness(answer: Answer, sure_from: float | None) -> dict[str, Any]:
    if (p := answer.probability) is None and sure_from is None:
        return {}
    told: dict[str, Any] = {"probability": p}
    if sure_from is not None:
        told["hand_over"] = (p or 0.0) < sure_from
    return {"tuneworthy": told}


def usage(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """Return OpenAI's usage object of a request; None if the model does not count tokens.

    The prompt counts once, as OpenAI counts it. A classifier's answer has 0 tokens.
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
    """Return a server-sent event that holds a chat completion chunk with these choices."""
    return event({**envelope.head("chat.completion.chunk"), "choices": list(choices), **more})


def delta(
    at: int, text: str | None, *, finish: str | None = None, log: Logprobs | None = None,
    first: bool = False
) -> dict[str, Any]:  # fmt: skip
    """Return a streamed choice as JSON: the next part of the text of answer number `at`."""
    part: dict[str, Any] = {"role": "assistant"} if first else {}
    if text is not None:
        part["content"] = text
    return {"index": at, "delta": part, "finish_reason": finish,
            "logprobs": {"content": log, "refusal": None} if log else None}  # fmt: skip


def event(data: dict[str, Any]) -> bytes:
    """Return JSON data as a server-sent event; JSON has no line break, so one line is enough."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


DONE_EVENT = b"data: [DONE]\n\n"


class ApiError(Exception):
    """A refused request: HTTP status, message, the field at fault (`param`) and a code.

    `retry_after` is in seconds. The message goes to the client: it names no path, no key and no
    text of another request. What it quotes of the request may hold lone surrogates, which no reply
    can: they are replaced.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, well_formed(message), code
        self.param = None if param is None else well_formed(param)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Return the HTTP headers of the error reply."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers

    def plain(self) -> dict[str, Any]:
        """Return the JSON body of the reply: {"error": {"message", "type", "param", "code"}}."""
        kind = {429: "rate_limit_error"}.get(self.status, "invalid_request_error")
        kind = "server_error" if self.status >= 500 else kind
        return {
            "error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        }


def bad_field(param: str, message: str, code: str | None = None) -> ApiError:
    """Return (does not raise) the ApiError 400 for a field whose value can't be used."""
    return ApiError(400, message, param=param, code=code)


def logprob_entries(model: Any, tops: Sequence[Any]) -> list[dict[str, Any]]:
    """Return JSON for each token: text, bytes, log-probability, and the top tokens' at its place.

    They are the model's own, at temperature 1 and without the grammar.
    """

    def entry(token: int, value: float) -> dict[str, Any]:
        text = model.tokenizer.decode([token], clean_up_tokenization_spaces=False)
        exact = token_bytes(model.tokenizer, token)
        return {"token": text, "logprob": max(value, -9999.0), "bytes": exact}

    return [
        {**entry(token, value), "top_logprobs": [entry(*one) for one in top]}
        for token, value, top in tops
    ]
