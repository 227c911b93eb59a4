"""Cache local models' replies within a study, so that equal requests are generated only once.

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
from typing import Any, Self

from tuneworthy.core.model import Limits, Prompt, Reply
from tuneworthy.core.record import canonical, digest

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
    """Results by the digest of their request; the least recently used are dropped first."""

    def __init__(
        self, most: int = MOST_CACHED_RESULTS, characters: int = MOST_CACHED_CHARACTERS
    ) -> None:
        self._most, self._room = most, characters
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def each(self, keys: Sequence[str], compute: Callable[[list[int]], Sequence[Any]]) -> list[Any]:
        """Return the result of each key; `compute` returns those at given positions of `keys`.

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
