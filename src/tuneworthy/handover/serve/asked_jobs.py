"""Turn a chat request into the worker's jobs, and a job's error into the reply's error."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from tuneworthy.handover.serve.chat_reply import ApiError, bad_field
from tuneworthy.handover.serve.chat_request import ANY_OBJECT, ChatRequest
from tuneworthy.handover.serve.served_models import Target
from tuneworthy.handover.serve.worker import (
    AnswerJob,
    Refused,
    Stopping,
    follows_model,
    follows_system,
)
from tuneworthy.records.artefact import RAW_SUFFIX
from tuneworthy.records.case import Query
from tuneworthy.records.errors import BudgetError, ModelError, ProviderError, TaskError
from tuneworthy.records.model import Grammar, Limits
from tuneworthy.records.record import digest
from tuneworthy.sandbox.schemas import SchemaFault, external_reference

STOPPING_MESSAGE = "The server is stopping; ask again soon."


def jobs_for(
    asked: ChatRequest, target: Target, most_tokens: int, wake: Callable[[], None]
) -> list[AnswerJob]:
    """Return a job for each answer, or one for all greedy ones; raises ApiError (400)."""
    if target.system is not None:
        return [_system_job(asked, target, wake)]
    assert target.model is not None
    warm = asked.temperature or 0.0
    limits = Limits(
        max_tokens=min(asked.max_tokens or most_tokens, most_tokens),
        temperature=warm,
        top_p=asked.top_p or 1.0,
        seed=secrets.randbelow(1 << 31) if asked.seed is None else asked.seed,
        stop=asked.stop,
        grammar=asked.grammar,
    )
    if asked.grammar is not None:
        _check_schema(asked.grammar)
    if asked.top is not None and not follows_model(target.model, limits):
        raise bad_field("logprobs", f"'{target.name}' gives no log-probabilities.", "unsupported")
    draws = range(asked.n if warm else 1)
    return [
        AnswerJob(
            target.model,
            wake,
            prompt=asked.messages,
            limits=limits.model_copy(update={"sample": number}),
            top=asked.top,
            watched=asked.stream,
        )
        for number in draws
    ]


def _system_job(asked: ChatRequest, target: Target, wake: Callable[[], None]) -> AnswerJob:
    """Return the job of a request to an artefact.

    Raises ApiError (400) if the request sets something that would change the measured answer.
    """
    system = target.system
    assert system is not None
    limits = system.limits
    fixed: dict[str, tuple[Any, Any]] = {
        "temperature": (asked.temperature, limits.temperature if limits else 0.0),
        "top_p": (asked.top_p, limits.top_p if limits else 1.0),
        "stop": (asked.stop or None, limits.stop if limits else ()),
        "response_format": (_asked_format(asked, target), _own_format(target)),
        "n": (asked.n, 1),
    }
    raw = f", or ask '{target.name}{RAW_SUFFIX}', the model without the artefact's prompt"
    raw = raw if target.has_raw else ""
    for name, (given, own) in fixed.items():
        if given is not None and given != own:
            raise bad_field(
                name,
                f"'{target.name}' answers as it was measured ({name}: {own}); leave '{name}' out"
                f"{raw}.",
                "unsupported_value",
            )
    if asked.messages[-1].role != "user":
        raise bad_field("messages", "The last message must be the user's: it is the task's input.")
    roles = system.artefact.roles
    if roles is not None and (odd := {one.role for one in asked.messages[:-1]} - {*roles}):
        raise bad_field(
            "messages",
            f"'{target.name}' was measured on rows without a turn before the input by:"
            f" {', '.join(sorted(odd))}; send messages as in the rows{raw}.",
            "unsupported_value",
        )
    if asked.top is not None and not follows_system(system):
        raise bad_field("logprobs", f"'{target.name}' gives no log-probabilities.", "unsupported")
    query = Query(id=digest([m.plain() for m in asked.messages], 16), messages=asked.messages)
    return AnswerJob(
        target.model,
        wake,
        system=system,
        query=query,
        cap=asked.max_tokens,
        top=asked.top,
        watched=asked.stream and follows_system(system),
    )


def _own_format(target: Target) -> str | None:
    """Return the kind of an artefact's grammar ("json", "labels", …); None for free answers."""
    assert target.system is not None
    grammar = target.system.artefact.pack.grammar
    return grammar.kind if grammar else None


def _asked_format(asked: ChatRequest, target: Target) -> str | None:
    """Return the kind of the requested grammar, or "another schema" than the artefact's own."""
    assert target.system is not None
    own = target.system.artefact.pack.grammar
    if asked.grammar is None:
        return None
    if own is None or own.kind != "json":
        return asked.grammar.kind
    return "json" if asked.grammar.value in (own.value, ANY_OBJECT) else "another schema"


def _check_schema(grammar: Grammar) -> None:
    try:
        outside = external_reference(grammar.value)
    except SchemaFault as fault:
        raise bad_field("response_format", f"The schema can't be used: {fault}.") from None
    if outside is not None:
        raise bad_field("response_format", "The schema refers outside itself; use '#/$defs/...'.")


def api_error_of(jobs: Sequence[AnswerJob]) -> ApiError | None:
    """Return the API error for the first job that failed; None if none failed."""
    error = next((job.error for job in jobs if job.error is not None), None)
    if error is None:
        return None
    if isinstance(error, Stopping):
        return ApiError(503, STOPPING_MESSAGE, code="stopping", retry_after=5)
    if isinstance(error, Refused):
        long = "context" in str(error)
        code = "context_length_exceeded" if long else "invalid_prompt"
        return bad_field("messages", f"The model can't be asked this: {error}.", code)
    if isinstance(error, TaskError):
        return bad_field("response_format", f"{error.what}: {error.got}")
    if isinstance(error, BudgetError):
        return ApiError(429, "The budget for the endpoint is spent.", code="insufficient_quota")
    if isinstance(error, ProviderError):
        return ApiError(502, "The endpoint behind this model failed.", code="bad_gateway")
    if isinstance(error, ModelError):
        return ApiError(500, f"The model failed: {error.what}.", code="model_error")
    return ApiError(500, "The model failed on this request.", code="model_error")
