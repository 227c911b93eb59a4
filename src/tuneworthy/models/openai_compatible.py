"""Models behind an OpenAI-compatible server: vendors, vLLM, Ollama, llama.cpp, our own `serve`.

Each attempt is reserved at its worst case before it is sent, and settled after. A prompt that
fails is a reply with `error`; an endpoint that never answers is a ProviderError. Knows no task.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from tuneworthy.core.answer import Finish
from tuneworthy.core.errors import ProviderError, TaskError
from tuneworthy.core.model import Grammar, Limits, Prompt, Reply
from tuneworthy.core.record import canonical, digest
from tuneworthy.models._endpoint import Endpoint, endpoint
from tuneworthy.models._prices import listed
from tuneworthy.models._wire import Outcome, Policy, attempt, connect, pause, refusal

ENGINE = "openai-1"
WORKERS = 8
GIVE_UP = 8  # failures before the first answer: the endpoint, not the prompts, is at fault
_LABEL = "label"
Price = Mapping[str, Any]


class Remote:
    """A model that is asked over HTTP. `price` is USD per million tokens (in, out, cached_in).

    The key is part of no fingerprint, log or message.
    """

    def __init__(
        self,
        name: str,
        where: Endpoint,
        purse: Any = None,
        price: Price | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.name, self.where, self.purse, self.price = name, where, purse, price
        self.policy = policy or Policy()
        self.spec = f"openai:{name}@{where.url}"
        self.fingerprint = {"engine": ENGINE, "endpoint": where.url, "model": name}
        self.context: int | None = None
        self.client = connect(where, self.policy)
        self.served: str | None = None
        self._room = (
            "max_completion_tokens" if where.origin.endswith("openai.com:443") else "max_tokens"
        )

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Answer each prompt, at most eight at a time, in order.

        Raises ProviderError (a refused key, an unknown model, no answer at all), BudgetError,
        and TaskError for a grammar that servers do not know.
        """
        form = _form(limits.grammar)
        call = _Call()
        with ThreadPoolExecutor(min(WORKERS, max(1, len(prompts)))) as pool:
            waiting = [pool.submit(self._one, prompt, limits, form, call) for prompt in prompts]
            try:
                replies = [each.result() for each in waiting]
            except BaseException:
                call.stop.set()
                raise
        if call.failed and not call.answered:
            raise call.failed
        return replies

    def count_tokens(self, prompt: Prompt) -> int:
        """Return an estimate (four bytes a token): the server's tokenizer is not known."""
        return sum(-(-len(m.content.encode("utf-8", "replace")) // 4) + 4 for m in prompt) + 3

    def _one(self, prompt: Prompt, limits: Limits, form: Any, call: _Call) -> Reply:
        body = self._body(prompt, limits, form)
        key = digest({**self.fingerprint, "body": body, "sample": limits.sample})
        if self.purse is not None and (known := self.purse.recorded(key)) is not None:
            call.answered = True
            return Reply.model_validate(known)
        begun, outcome = time.monotonic(), Outcome("retry")
        for tries in range(self.policy.attempts):
            left = self.policy.total_seconds - (time.monotonic() - begun)
            if call.stop.is_set() or left <= 0:
                break
            outcome, reply = self._try(body, key, limits, min(left, self.policy.request_seconds))
            if reply is not None:
                call.answered = True
                return reply
            if outcome.kind == "row" and self._renamed(outcome):
                body = self._body(prompt, limits, form)
                continue
            if outcome.kind != "retry":
                break
            if tries + 1 < self.policy.attempts:
                self.policy.sleep(pause(self.policy, outcome, tries, key))
        return call.fail(outcome, refusal(outcome, self.where, self.name))

    def _try(
        self, body: dict[str, Any], key: str, limits: Limits, seconds: float
    ) -> tuple[Outcome, Reply | None]:
        """Reserve, send, settle: one attempt."""
        usd, tokens = self._worst(body, limits)
        ticket = None if self.purse is None else self.purse.reserve(usd, tokens, key)
        name = getattr(ticket, "retry_key", key[:32])
        outcome = attempt(self.client, body, name, seconds)
        reply = self._read(outcome, body, limits) if outcome.kind == "answer" else None
        if ticket is not None:
            self._settle(ticket, outcome, reply)
        return outcome, reply

    def _settle(self, ticket: Any, outcome: Outcome, reply: Reply | None) -> None:
        if reply is None:
            nothing = outcome.billed is False
            self.purse.settle(ticket, 0 if nothing else None, 0 if nothing else None)
            return
        known = reply.tokens_in is not None and reply.tokens_out is not None
        tokens = (reply.tokens_in or 0) + (reply.tokens_out or 0) if known else None
        cost = self._cost(reply)
        usd = cost if cost is not None or self.price else Decimal(0)
        self.purse.settle(ticket, usd, tokens, reply.plain())

    def _body(self, prompt: Prompt, limits: Limits, form: Any) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": m.role, "content": m.content} for m in prompt],
            self._room: limits.max_tokens,
            "temperature": limits.temperature,
            "top_p": limits.top_p,
            "seed": (limits.seed + 1_000_003 * limits.sample) % 2**31,
        }
        if limits.stop:
            body["stop"] = list(limits.stop)
        if form is not None:
            body["response_format"] = form
        return body

    def _renamed(self, outcome: Outcome) -> bool:
        """Change the name of the token limit where the server knows only the other one."""
        other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
        if "unsupported" not in outcome.why.lower() or f"'{self._room}'" not in outcome.why:
            return False
        self._room = other[self._room]
        return True

    def _worst(self, body: dict[str, Any], limits: Limits) -> tuple[Decimal | None, int]:
        """Return the most that one attempt can cost: a token is at least one byte."""
        size = len(canonical(body).encode("utf-8", "replace")) + 16 * len(body["messages"])
        if self.price is None or size > self.price.get("prompt_tokens", size):
            return None, size + limits.max_tokens
        rate = {name: Decimal(str(self.price.get(name, 0))) for name in ("in", "out")}
        rate["in"] = max(rate["in"], Decimal(str(self.price.get("cache_write", 0))))
        usd = (size * rate["in"] + limits.max_tokens * rate["out"]) / 1_000_000
        return usd, size + limits.max_tokens

    def _cost(self, reply: Reply) -> Decimal | None:
        if self.price is None or reply.tokens_in is None or reply.tokens_out is None:
            return None
        if reply.tokens_in > self.price.get("prompt_tokens", reply.tokens_in):
            return None
        rate = {name: Decimal(str(value)) for name, value in self.price.items()}
        cached = reply.tokens_cached or 0
        full = (reply.tokens_in - cached) * rate.get("in", Decimal(0))
        part = cached * rate.get("cached_in", rate.get("in", Decimal(0)))
        return (full + part + reply.tokens_out * rate.get("out", Decimal(0))) / 1_000_000

    def _read(self, outcome: Outcome, body: dict[str, Any], limits: Limits) -> Reply:
        answer = outcome.body
        self._same_model(answer.get("model"))
        choice = answer["choices"][0]
        text, wrong = _text(choice["message"])
        finish, odd = _finish(choice.get("finish_reason"))
        if limits.grammar is not None and limits.grammar.kind == "labels":
            text = _label(text)
        most = self._worst(body, limits)[1]
        used = _usage(answer.get("usage"), most)
        reply = Reply(
            text=text,
            seconds=outcome.seconds,
            finish="error" if wrong or odd else finish,
            error=wrong or odd or None,
            **used,
        )
        cost = self._cost(reply)
        return reply if cost is None else reply.model_copy(update={"usd": float(cost)})

    def _same_model(self, served: Any) -> None:
        if not isinstance(served, str) or served == self.served:
            return
        if self.served is not None:
            raise ProviderError(
                "the endpoint changed the model in mid-run",
                where=self.where.origin,
                got=f"{self.served}, then {served}",
                fix="name one dated model, then run again",
            )
        self.served = served


class _Call:
    """What the rows of one call share: whether any was answered, and whether to stop."""

    def __init__(self) -> None:
        self.stop, self.answered, self.failures = threading.Event(), False, 0
        self.failed: ProviderError | None = None
        self._lock = threading.Lock()

    def fail(self, outcome: Outcome, error: ProviderError) -> Reply:
        """Note a failed prompt; raise where it is the endpoint that fails, not the prompt."""
        with self._lock:
            self.failures += 1
            self.failed = self.failed or error
            hopeless = self.failures >= GIVE_UP and not self.answered
        if outcome.kind == "fatal" or hopeless:
            self.stop.set()
            raise error
        return Reply(text="", finish="error", error=outcome.why or "not sent: the call was stopped")


def open_remote(rest: str, purse: Any = None, prices: Mapping[str, Price] | None = None) -> Remote:
    """Open NAME or NAME@URL. Raises SecurityError, or TaskError (a cap without a price).

    `prices` are the user's; a model without one has its list price, if there is one.
    """
    name, _, url = rest.partition("@")
    where = endpoint(url or None)
    known = listed(name, where.url)
    price = (prices or {}).get(name, known.rates if known else None)
    cap = getattr(purse, "cap_usd", None)
    if cap is not None and price is None:
        raise TaskError(
            "a money cap needs a price, and this model has none",
            where="task.yaml: economics.prices",
            got=name,
            fix=f"add `{name}: {{in: USD, out: USD}}` per million tokens (0 for your own server)",
        )
    if price is not None and not {"in", "out"} <= set(price):
        raise TaskError(
            "a price needs `in` and `out`, USD per million tokens",
            where=f"task.yaml: economics.prices.{name}",
            got=canonical(dict(price)),
        )
    return Remote(name, where, purse, price)


def _form(grammar: Grammar | None) -> dict[str, Any] | None:
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
            "properties": {_LABEL: part},
            "required": [_LABEL],
            "additionalProperties": False,
        }
    named = {"name": "answer", "schema": schema, "strict": _strict(schema)}
    return {"type": "json_schema", "json_schema": named}


def _strict(schema: Any) -> bool:
    """Say whether a schema meets the terms of `strict`: every object closed, every key required."""
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


def _text(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text of a message, and what is wrong with it (or "")."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        if len(parts) == len(content) and all(isinstance(part, str) for part in parts):
            return "".join(str(part) for part in parts), ""
        return "", "the answer has parts other than text"
    if isinstance(content, str):
        return content, ""
    if isinstance(message.get("refusal"), str):
        return str(message["refusal"]), ""
    return "", "the answer has no text" if not message.get("reasoning_content") else ""


def _finish(reason: Any) -> tuple[Finish, str]:
    """Return how an answer ended, and what is wrong with that (or "")."""
    if reason in {"stop", "eos", "end_turn", None}:  # some servers end a whole answer with null
        return "stop", ""
    if reason in {"length", "max_tokens"}:
        return "length", ""
    if reason == "content_filter":
        return "error", "the provider's content filter held the answer back"
    if reason in {"tool_calls", "function_call"}:
        return "error", "the model called a tool in place of an answer"
    return "error", f"the server ended the answer with {str(reason)[:40]!r}"


def _label(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return str(found[_LABEL]) if isinstance(found, dict) and _LABEL in found else text


def _usage(usage: Any, most: int) -> dict[str, int | None]:
    """Return the tokens a server reports; what can't be true is not known."""
    told = usage if isinstance(usage, dict) else {}
    details = told.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    asked, made = (
        _count(told.get("prompt_tokens"), most),
        _count(told.get("completion_tokens"), most),
    )
    kept = _count(cached, asked or 0)
    return {"tokens_in": asked, "tokens_out": made, "tokens_cached": kept}


def _count(value: Any, most: int) -> int | None:
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
    return value if sane else None
