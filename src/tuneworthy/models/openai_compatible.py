"""Models behind an OpenAI-compatible server: vendors, vLLM, Ollama, llama.cpp, `tuneworthy serve`.

Each attempt's worst-case cost is reserved before it is sent, and settled afterwards. A failed
prompt becomes a reply with `error`; an endpoint that fails for all prompts raises ProviderError. An
endpoint that refuses every request of an arm, or serves another model than before, raises
ModelError: only that arm fails. Facts about an endpoint (parameters it refuses, that it thinks,
which model it serves) are stored with the study. Knows no task.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from tuneworthy.models.remote import price_list as _prices
from tuneworthy.models.remote import request as _request
from tuneworthy.models.remote.endpoint import Endpoint, endpoint, name_and_url, refuse_resolved
from tuneworthy.models.remote.endpoint_facts import (
    ANSWERS,
    CHANGED,
    FORMLESS,
    ROOM,
    SERVED,
    THINKS,
    UNASKED,
    EndpointFacts,
)
from tuneworthy.models.remote.price_list import Price
from tuneworthy.models.remote.reply import Call, has_form, read_reply
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.wire import (
    Outcome,
    RetryPolicy,
    attempt,
    connect,
    pause_seconds,
    refused_key,
    unanswered_error,
)
from tuneworthy.records.errors import ModelError, TaskError
from tuneworthy.records.model import Limits, Prompt, Reply
from tuneworthy.records.record import canonical, digest
from tuneworthy.records.task import PRICE_EXAMPLE

ENGINE = "openai-2"  # 2: reasoning is separated from the answer


class Remote:
    """A model called over HTTP. `price` is USD per million tokens (in, out, cached_in).

    The key appears in no fingerprint, log or message. A class for another kind of request
    overrides the kind, the path, and how a request is written and its answer read.
    """

    kind, engine, path = "openai", ENGINE, "/chat/completions"

    def __init__(
        self,
        name: str,
        where: Endpoint,
        purse: Any = None,
        price: Price | None = None,
        policy: RetryPolicy | None = None,
        how: RequestOptions | None = None,
    ) -> None:
        self.name, self.where, self.purse, self.price = name, where, purse, price
        self.policy, self.how = policy or RetryPolicy(), how or RequestOptions()
        self.spec = f"{self.kind}:{name}@{where.url}"
        self.fingerprint = {"engine": self.engine, "endpoint": where.url, "model": name}
        if where.started:
            self.fingerprint = {"engine": where.started, "model": name}
        if self.how.fields:
            self.fingerprint["options"] = canonical(dict(self.how.fields))
        self.context: int | None = None
        self.client = connect(where, self.policy)
        self._learned = EndpointFacts(purse, self.fingerprint, lambda note: self.how.say(note))
        self._under_way, self._counter = 0, threading.Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return notes for the report on how requests differ, such as refused parameters."""
        return self._learned.notes(_request.DROPPED)

    @property
    def facts(self) -> EndpointFacts:
        """Return the facts that the study stores about this model at its endpoint."""
        return self._learned

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Return the reply to each prompt, with at most `connections` requests at a time.

        Raises ProviderError (a refused key, an unknown model, no answer at all), ModelError (it
        refuses these requests, or serves another model now), BudgetError, SecurityError, and
        TaskError for a grammar that no server supports.
        """
        form = self._form(limits)
        refuse_resolved(self.where)
        names = [tuple((m.role, m.content) for m in prompt) for prompt in prompts]
        different = dict(zip(names, prompts, strict=True))  # equal prompts are one request
        call = Call(self._learned, len(different))
        with ThreadPoolExecutor(min(self.how.connections, max(1, len(different)))) as pool:
            waiting = {
                name: pool.submit(self._reply_to, prompt, limits, form, call)
                for name, prompt in different.items()
            }
            try:
                replies = [waiting[name].result() for name in names]
            except BaseException:
                call.stop.set()
                raise
        call.end()
        return replies

    def request(self, prompt: Prompt, limits: Limits) -> dict[str, Any]:
        """Return the body of the request for a prompt. Raises TaskError if none can be written."""
        room = self._reasoning_tokens(limits)
        return self._request_body(prompt, limits, self._form(limits), room)

    def key_refusal(self) -> str:
        """Return the server's message if it refuses the key, else ""; the request costs nothing.

        Raises SecurityError for a forbidden address.
        """
        if self.where.key is None:
            return ""
        refuse_resolved(self.where)
        return refused_key(self.client)

    @property
    def _salt(self) -> dict[str, str]:
        """Return {"salt": …} for a study that was started anew (`--fresh`), else {}."""
        salt = getattr(self.purse, "salt", "")
        return {"salt": salt} if salt else {}

    def count_tokens(self, prompt: Prompt) -> int:
        """Return an estimate of a prompt's tokens by the kind of text: the tokenizer is unknown."""
        return _request.estimated_tokens(prompt)

    def _reply_to(self, prompt: Prompt, limits: Limits, form: Any, call: Call) -> Reply:
        """Return the reply to one prompt: the stored one, else one from the server."""
        if (stored := self._recorded_reply(prompt, limits, form)) is not None:
            call.answered = True
            return stored
        begun, outcome, tries = time.monotonic(), Outcome("retry"), 0
        body: dict[str, Any] = {}
        while tries < self.policy.attempts:
            left = self.policy.total_seconds - (time.monotonic() - begun)
            if call.stop.is_set():
                return Reply(text="", finish="error", error="not sent: the call was stopped")
            if left <= 0:
                break
            body = self._request_body(prompt, limits, form, self._reasoning_tokens(limits))
            outcome, reply = self._send(body, limits, self.policy.attempt_seconds(left))
            if reply is not None:
                call.answered = True
                self._learn_from(reply, limits)
                if self._cut_in_reasoning(reply, body, limits):
                    continue  # at most once: later requests reserve the allowance
                return reply
            if outcome.kind == "row" and self._learn_refused_parameter(body, outcome):
                continue  # at most once per parameter
            tries += 1
            if outcome.kind != "retry":
                break
            if tries < self.policy.attempts:
                seconds = pause_seconds(self.policy, outcome, tries - 1, self._key(body, limits))
                (self.policy.sleep or call.wait)(seconds)
        error = unanswered_error(outcome, self.where, self.name)
        return call.fail(outcome, error, self._key(body, limits) if body else "")

    def _key(self, body: Mapping[str, Any], limits: Limits) -> str:
        """Return the key of a request: the digest of everything that can change its reply."""
        rule = limits.grammar  # a digest ignores the order of a schema's keys, a model does not
        order = {"order": json.dumps(rule.value)} if rule and rule.kind == "json" else {}
        facts = {**self.fingerprint, "body": body, "sample": limits.sample, **order, **self._salt}
        return digest(facts)

    def _recorded_reply(self, prompt: Prompt, limits: Limits, form: Any) -> Reply | None:
        """Return the stored reply to a prompt, None if there is no usable one.

        A reply that was cut because no tokens were reserved for its reasoning is not usable.
        """
        if self.purse is None:
            return None
        rooms = {self._reasoning_tokens(limits)} | ({0} if limits.thinking == "auto" else set())
        for room in sorted(rooms, reverse=True):
            body = self._request_body(prompt, limits, form, room)
            if (stored := self.purse.recorded(self._key(body, limits))) is None:
                continue
            reply = Reply.model_validate(stored)
            self._learn_from(reply, limits)
            if not self._cut_in_reasoning(reply, body, limits):
                return reply
        return None

    def _send(
        self, body: dict[str, Any], limits: Limits, seconds: float
    ) -> tuple[Outcome, Reply | None]:
        """Send one request; reserve and settle its cost; return the outcome and a reply, if any."""
        size, room = _request.size(body), self._token_limit(body)
        if room is None and getattr(self.purse, "cap_usd", None) is not None:
            raise _no_token_limit_error(self.spec)
        room = limits.max_tokens + limits.thought_tokens if room is None else room
        ticket, key, reply = None, self._key(body, limits), None
        if self.purse is not None:
            usd = _prices.worst_case_cost(self.price, size, room)
            ticket = self.purse.reserve(usd, size + room, key)
        outcome = Outcome("retry")
        try:
            with self._count_concurrent() as concurrency:
                name = getattr(ticket, "retry_key", key[:32])
                outcome = attempt(self.client, body, name, seconds, self.path)
            if outcome.kind == "answer":
                made = self._read(outcome.body, limits, size + room)
                timed = {"seconds": outcome.seconds, "concurrency": concurrency}
                usd = _prices.cost(self.price, made)
                priced = {} if usd is None else {"usd": float(usd)}
                reply = made.model_copy(update={**timed, **priced})
        finally:
            if ticket is not None:
                self._settle(ticket, outcome, reply)
        return outcome, reply

    @contextmanager
    def _count_concurrent(self) -> Iterator[int]:
        """Yield the number of requests under way, this one included."""
        with self._counter:
            self._under_way += 1
            now = self._under_way
        try:
            yield now
        finally:
            with self._counter:
                self._under_way -= 1

    def _settle(self, ticket: Any, outcome: Outcome, reply: Reply | None) -> None:
        if reply is None:
            nothing = outcome.billed is False
            self.purse.settle(ticket, 0 if nothing else None, 0 if nothing else None)
            return
        counted = reply.tokens_in is not None and reply.tokens_out is not None
        tokens = (reply.tokens_in or 0) + (reply.tokens_out or 0) if counted else None
        cost = _prices.cost(self.price, reply)
        told = Decimal(str(reply.usd or 0))  # by the server, of a model without a price
        usd = cost if cost is not None or self.price else told
        self.purse.settle(ticket, usd, tokens, reply.plain())

    def _request_body(
        self, prompt: Prompt, limits: Limits, form: Any, allowance: int
    ) -> dict[str, Any]:
        """Return the request body without refused parameters; `allowance`: reasoning tokens."""
        host = urlsplit(self.where.origin).hostname or ""
        fields = _request.fields_of(
            [_request.switch(self.how.family or self.name, host, limits), self.how.fields]
        )
        made = _request.body(self.name, prompt, limits, form, fields)
        first = 1 if host == "api.openai.com" else 0
        names = (_request.TOKEN_LIMITS[first], _request.TOKEN_LIMITS[1 - first])
        room = next((name for name in names if not self._learned.without(name)), None)
        if room is not None:
            made[room] = limits.max_tokens + allowance
        kept = {name: value for name, value in made.items() if not self._learned.without(name)}
        return kept

    def _form(self, limits: Limits) -> Any:
        return _request.response_format(limits.grammar)

    def _read(self, answer: Mapping[str, Any], limits: Limits, asked: int) -> Reply:
        return read_reply(answer, limits, asked)

    def _token_limit(self, body: Mapping[str, Any]) -> int | None:
        return next((int(body[name]) for name in _request.TOKEN_LIMITS if name in body), None)

    def _reasoning_tokens(self, limits: Limits) -> int:
        """Return the number of tokens to reserve for reasoning besides those of the answer."""
        thinks = limits.thinking == "on" or (
            limits.thinking == "auto" and self._learned.get(THINKS) is not None
        )
        return limits.thought_tokens if thinks else 0

    def _cut_in_reasoning(self, reply: Reply, body: Mapping[str, Any], limits: Limits) -> bool:
        """Return whether a reply was cut because no tokens were reserved for its reasoning."""
        cut = reply.finish == "length" and bool(reply.tokens_thought)
        room = self._token_limit(body)
        return (
            cut and room is not None and room < limits.max_tokens + self._reasoning_tokens(limits)
        )

    def _learn_refused_parameter(self, body: Mapping[str, Any], outcome: Outcome) -> bool:
        """Record a parameter that the server refuses by name; return whether one was found."""
        name = _request.refused_parameter(body, outcome.why, outcome.parameter)
        if not name:
            return False
        note = f"{self.spec} refuses the parameter {name} and is asked without it"
        if name in _request.TOKEN_LIMITS:
            other = next(room for room in _request.TOKEN_LIMITS if room != name)
            if not self._learned.without(other):
                note = ""  # the limit is sent under its other name
            else:
                note = f"{self.spec} takes no limit on the tokens of an answer"
                self._learned.learn(ROOM, {"none": True})
        self._learned.learn(f"without {name}", {"refused": True}, note)
        return True

    def _learn_from(self, reply: Reply, limits: Limits) -> None:
        """Store facts from a reply: that the endpoint answers, thinks, ignores the form; its model.

        Raises ModelError if another model answers than before in this study.
        """
        self._learned.learn(ANSWERS, {"answered": True})
        if reply.tokens_thought and limits.thinking == "auto" and limits.thought_tokens:
            note = (
                f"{self.spec} reasons before it answers: up to {limits.thought_tokens} tokens are"
                " reserved for that, and answers that it cut are asked for again"
            )
            self._learned.learn(THINKS, {"thinks": True}, note)
        elif reply.tokens_thought and limits.thinking == "off":
            note = (
                f"{self.spec} reasons before it answers although thinking is off; that takes the"
                " room of its answers"
            )
            self._learned.learn(UNASKED, {"thinks": True}, note)
        if reply.finish == "stop" and not has_form(reply.text, limits.grammar):
            note = (
                f"{self.spec} gave an answer outside the form that was sent with the request"
                " (response_format): its server may ignore it, and nothing else holds"
                " constrained answers to the form"
            )
            self._learned.learn(FORMLESS, {"ignored": True}, note)
        self._check_same_model(reply)

    def _check_same_model(self, reply: Reply) -> None:
        """Raise ModelError if another model answers than at first; ignore case and `vendor/`."""
        if reply.served is None:
            return
        served = {"model": reply.served, "fingerprint": reply.system_fingerprint}
        first = self._learned.learn(SERVED, served)
        if _bare_name(str(first["model"])) != _bare_name(reply.served):
            raise ModelError(
                "the endpoint changed the model in mid-study, so this arm would mix two",
                where=self.where.origin,
                got=f"{first['model']}, then {reply.served}",
                fix="name one dated model, or ask all anew with --fresh",
            )
        before, now = first.get("fingerprint"), reply.system_fingerprint
        if before and now and before != now:
            note = (
                f"{self.spec} changed its system_fingerprint during the study: {before}, then"
                f" {now}; its answers may differ for that reason"
            )
            self._learned.learn(CHANGED, {"fingerprint": now}, note)


def _bare_name(name: str) -> str:
    return name.lower().rpartition("/")[2]


def _no_token_limit_error(spec: str) -> TaskError:
    return TaskError(
        "this endpoint takes no limit on the tokens of an answer, so a request has no worst case",
        where="task.yaml: budget.usd",
        got=spec,
        fix="cap budget.tokens in its place with --pay, or name another model",
    )


def open_remote(
    rest: str,
    purse: Any = None,
    prices: Mapping[str, Price] | None = None,
    how: RequestOptions | None = None,
    opened: type[Remote] = Remote,
) -> Remote:
    """Return the remote model NAME or NAME@URL. Raises SecurityError or TaskError.

    `prices` are the user's; a model without one gets its list price. TaskError if there is a cap on
    money and no price.
    """
    name, url = name_and_url(f"{opened.kind}:{rest}")
    where = endpoint(url or None)
    listed = _prices.listed(name, where.url)
    price = (prices or {}).get(name, listed.rates if listed else None)
    cap = getattr(purse, "cap_usd", None)
    if cap is not None and price is None:
        raise TaskError(
            "a money cap needs a price, and this model has none",
            where="task.yaml: economics.prices",
            got=name,
            fix=f"add `{name}: {PRICE_EXAMPLE}`, in USD per million tokens (0 for your own server)",
        )
    if price is not None:
        price = _prices.checked(price, name)
    return opened(name, where, purse, price, how=how)
