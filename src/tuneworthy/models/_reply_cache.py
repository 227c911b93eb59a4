"""Wrap local models: equal requests are generated once, and requests can be changed.

A greedy reply depends on the model, the prompt and the limits alone, but several units send the
same request: dev rows of one fold are scored rows of another, and arms try prompts that others
sent. The cache lives as long as the models of a study (models/_roles.py); the ledger stores
endpoints' replies. Where requests are timed, `uncached()` sends each of them to the model.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tuneworthy.models.local.layer_drop import without_layers
from tuneworthy.records.code import code_version
from tuneworthy.records.model import Limits, Model, Prompt, Reply, Scorer
from tuneworthy.records.record import canonical, digest

MOST_CACHED_RESULTS, MOST_CACHED_CHARACTERS = 20_000, 16_000_000

_uncached: ContextVar[bool] = ContextVar("uncached", default=False)


@contextmanager
def uncached() -> Iterator[None]:
    """Send every request inside the block to the model, not to the cache, as timing requires."""
    before = _uncached.set(True)
    try:
        yield
    finally:
        _uncached.reset(before)


def bypassed() -> bool:
    """Return whether this code runs inside `uncached`, where stored replies are not used."""
    return _uncached.get()


class ReplyCache:
    """Results in memory by digest of request; the least recently used are dropped first."""

    def __init__(
        self, most: int = MOST_CACHED_RESULTS, characters: int = MOST_CACHED_CHARACTERS
    ) -> None:
        self._most, self._room = most, characters
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def each(self, keys: Sequence[str], compute: Callable[[list[int]], Sequence[Any]]) -> list[Any]:
        """Return a result per key; `compute(positions)` returns those that are not cached.

        Equal keys are computed once. A reply with an error is returned and not cached.
        """
        results = {key: self._kept[key] for key in keys if key in self._kept}
        missing = {key: at for at, key in reversed(list(enumerate(keys))) if key not in results}
        places = sorted(missing.values())
        for at, result in zip(places, compute(places) if places else (), strict=True):
            results[keys[at]] = result
            self.keep(keys[at], result)
        for key in results:
            if key in self._kept:
                self._kept.move_to_end(key)
        return [results[key] for key in keys]

    def get(self, key: str) -> Any:
        """Return the cached result of a key, else None."""
        return self._kept.get(key)

    def keep(self, key: str, one: Any) -> None:
        """Cache a result, unless it is an error, None or cached already."""
        if one is None or getattr(one, "error", None) or key in self._kept:
            return
        self._kept[key] = one
        self._room -= _text_length(one)
        while self._kept and (len(self._kept) > self._most or self._room < 0):
            self._room += _text_length(self._kept.popitem(last=False)[1])


class Cached:
    """Base class of engines with a reply cache; `fingerprint` identifies model and adapter."""

    fingerprint: dict[str, str]
    cache: ReplyCache | None = None

    def cached(self, cache: ReplyCache) -> Self:
        """Return a copy of this engine with a cache; it shares the weights and keeps them open."""
        other = copy.copy(self)
        other.__dict__ |= {"cache": cache, "_shared": self}
        return other

    def _cached_replies(
        self,
        prompts: Sequence[Prompt],
        limits: Limits,
        ask: Callable[[Sequence[Prompt], Limits], list[Reply]],
    ) -> list[Reply]:
        """Return the reply to each prompt: the cached one, else that of `ask`."""
        if self.cache is None or limits.temperature > 0 or _uncached.get():
            return ask(prompts, limits)
        keys = self._keys(prompts, limits)
        return self.cache.each(keys, lambda at: ask([prompts[k] for k in at], limits))

    def recall(self, prompt: Prompt, limits: Limits) -> Reply | None:
        """Return the cached reply to a prompt, else None; generate nothing."""
        if self.cache is None or _uncached.get():
            return None
        reply: Reply | None = self.cache.get(self._keys([prompt], limits)[0])
        return reply

    def _cached_scores(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        ask: Callable[[Sequence[Prompt], Sequence[Sequence[str]]], list[list[float]]],
    ) -> list[list[float]]:
        """Return each prompt's log-probabilities of continuations: the cached ones, else by `ask`.

        The cache is used only if all prompts have the same continuations, as labels are.
        """
        first = list(continuations[0]) if continuations else []
        alike = all(list(texts) == first for texts in continuations)
        if self.cache is None or not alike or _uncached.get():
            return ask(prompts, continuations)
        keys = self._keys(prompts, {"labels": first})
        return self.cache.each(keys, lambda at: ask([prompts[k] for k in at], [first for _ in at]))

    def _cache_replies(
        self,
        prompts: Sequence[Prompt],
        limits: Limits,
        replies: Sequence[Reply],
        labels: Sequence[str],
        sums: Sequence[list[float] | None],
    ) -> None:
        """Cache greedy replies and the log-probabilities of labels that were computed with them."""
        if self.cache is None or limits.temperature > 0:
            return
        both = (limits, replies), ({"labels": list(labels)}, sums)
        for what, results in both:
            for key, result in zip(self._keys(prompts, what), results, strict=True):
                self.cache.keep(key, result)

    def _keys(self, prompts: Sequence[Prompt], limits: Limits | Mapping[str, Any]) -> list[str]:
        """Return the key of each request: a digest of model, limits and prompt."""
        plain, rule = limits, ""
        if isinstance(limits, Limits):
            plain = limits.plain()
            # the order of its keys matters
            rule = limits.grammar.model_dump_json() if limits.grammar else ""
        head = canonical([self.fingerprint, plain, rule])
        return [digest([head, [turn.plain() for turn in prompt]]) for prompt in prompts]


def _text_length(result: Any) -> int:
    return len(getattr(result, "text", ""))


Change = Callable[[Prompt], Prompt]

Store = Callable[[str, Callable[[], Any]], Mapping[str, Any]]

"""Return the stored value of a key, or compute and store it (`Ledger.unit`)."""


@dataclass
class RequestOverrides:
    """Overrides of requests: `temperature` (None: the arm's), and `change`, which edits prompts."""

    seed: int = 0
    temperature: float | None = None
    change: Change | None = None

    @contextmanager
    def at(self, temperature: float | None = None, change: Change | None = None) -> Iterator[None]:
        """Use these overrides inside the `with` block, and the former ones after it."""
        before = self.temperature, self.change
        self.temperature, self.change = temperature, change
        try:
            yield
        finally:
            self.temperature, self.change = before


def with_overrides(model: Any, overrides: RequestOverrides, store: Store, salt: str = "") -> Any:
    """Return the model under `overrides`; it scores continuations if the model does."""
    kind = _OverriddenScorer if isinstance(model, Scorer) else _OverriddenModel
    return kind(model, overrides, store, salt)


class _OverriddenModel:
    """A model under `overrides`; attributes that are not defined here are the model's own."""

    def __init__(
        self, model: Model, overrides: RequestOverrides, store: Store, salt: str = ""
    ) -> None:
        self._model, self._overrides, self._store, self._salt = model, overrides, store, salt
        self.spec, self.context, self.fingerprint = model.spec, model.context, model.fingerprint

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def with_adapter(self, folder: Path, *, idle: bool = False) -> Any:
        """Return the model with an adapter, under the same overrides."""
        adapted: Any = self._model
        adapted = adapted.with_adapter(folder, idle=idle)
        return with_overrides(adapted, self._overrides, self._store, self._salt)

    def without_layers(self, every: int) -> Any:
        """Return the model without some layers (see `layer_drop`), under the same overrides."""
        cut = without_layers(self._model, every)
        return with_overrides(cut, self._overrides, self._store, self._salt)

    def count_tokens(self, prompt: Prompt) -> int:
        """Return the number of tokens of the prompt as the arm built it."""
        return self._model.count_tokens(prompt)

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Return the reply to each prompt under the overrides: the stored one, else a new one."""
        changed = self._changed(prompts)
        if self._overrides.temperature is not None:
            warmth = {"temperature": self._overrides.temperature, "seed": self._overrides.seed}
            limits = limits.model_copy(update=warmth)
        # the order of its keys matters
        rule = limits.grammar.model_dump_json() if limits.grammar else ""
        key = self._key("reply", changed, [limits.plain(), rule])
        stored = self._store(
            key, lambda: {"replies": [r.plain() for r in self._model.reply(changed, limits)]}
        )
        return [Reply.model_validate(reply) for reply in stored["replies"]]

    def _changed(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        change = self._overrides.change
        return [change(prompt) if change else prompt for prompt in prompts]

    def _key(self, what: str, prompts: Sequence[Prompt], more: Any) -> str:
        messages = [[message.plain() for message in prompt] for prompt in prompts]
        return digest({"what": f"dial {what}", "model": dict(self.fingerprint), "prompts": messages,
                       "made_by": code_version(), "more": more, "salt": self._salt})  # fmt: skip


class _OverriddenScorer(_OverriddenModel):
    """A model under overrides that scores continuations, which temperature does not affect."""

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return the log-probability of each continuation of each changed prompt."""
        changed = self._changed(prompts)
        inner: Any = self._model
        given = [list(texts) for texts in continuations]
        key = self._key("logprobs", changed, given if given[1:] != given[:-1] else given[:1])
        stored = self._store(key, lambda: {"rows": inner.logprobs(changed, continuations)})
        return [list(row) for row in stored["rows"]]
