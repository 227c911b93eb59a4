"""Wrap a model to change the requests that an arm sends: temperature, or the prompts.

An arm gets the wrapper in place of its model. The overrides are set only after the arm is fitted,
so its fit is unaffected. Every reply is stored under its prompts and limits. Knows no arm and no
task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.core.code import code_version
from tuneworthy.core.model import Limits, Model, Prompt, Reply, Scorer
from tuneworthy.core.record import digest
from tuneworthy.models.local.layer_drop import without_layers

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
    kind = OverriddenScorer if isinstance(model, Scorer) else OverriddenModel
    return kind(model, overrides, store, salt)


class OverriddenModel:
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


class OverriddenScorer(OverriddenModel):
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
