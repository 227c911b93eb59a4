"""A model asked otherwise than its arm wants: warmer, or with its prompts changed.

An arm is handed this in place of its model and does what it always does; the dial is turned once
it is fitted, so what it learns and chooses is what it learnt and chose before. Every reply is
stored under its prompts and its limits. Knows no arm and no task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.core.code import made_by
from tuneworthy.core.model import Limits, Model, Prompt, Reply, Scorer
from tuneworthy.core.record import digest

Change = Callable[[Prompt], Prompt]
Store = Callable[[str, Callable[[], Any]], Mapping[str, Any]]
"""Returns what is stored under a key, or calls for it and stores it (`Ledger.unit`)."""


@dataclass
class Dial:
    """How models are asked: `temperature` None leaves it to the arm; `change` edits each prompt."""

    seed: int = 0
    temperature: float | None = None
    change: Change | None = None

    @contextmanager
    def at(self, temperature: float | None = None, change: Change | None = None) -> Iterator[None]:
        """Turn the dial for a while."""
        before = self.temperature, self.change
        self.temperature, self.change = temperature, change
        try:
            yield
        finally:
            self.temperature, self.change = before


def dialled(model: Any, dial: Dial, store: Store, salt: str = "") -> Any:
    """Return the model behind a dial; it scores given answers where the model does."""
    kind = DialledScorer if isinstance(model, Scorer) else Dialled
    return kind(model, dial, store, salt)


class Dialled:
    """A model behind a dial. All it does not define is the model's own."""

    def __init__(self, model: Model, dial: Dial, store: Store, salt: str = "") -> None:
        self._model, self._dial, self._store, self._salt = model, dial, store, salt
        self.spec, self.context, self.fingerprint = model.spec, model.context, model.fingerprint

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def with_adapter(self, folder: Path, *, idle: bool = False) -> Any:
        """Return the model with an adapter, behind the same dial."""
        adapted: Any = self._model
        adapted = adapted.with_adapter(folder, idle=idle)
        return dialled(adapted, self._dial, self._store, self._salt)

    def count_tokens(self, prompt: Prompt) -> int:
        """Return the tokens of the prompt as the arm built it."""
        return self._model.count_tokens(prompt)

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Answer each prompt as the dial stands; from the store where it was asked before."""
        asked = self._changed(prompts)
        if self._dial.temperature is not None:
            warmth = {"temperature": self._dial.temperature, "seed": self._dial.seed}
            limits = limits.model_copy(update=warmth)
        rule = limits.grammar.model_dump_json() if limits.grammar else ""  # its keys are ordered
        key = self._key("reply", asked, [limits.plain(), rule])
        found = self._store(
            key, lambda: {"replies": [r.plain() for r in self._model.reply(asked, limits)]}
        )
        return [Reply.model_validate(reply) for reply in found["replies"]]

    def _changed(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        change = self._dial.change
        return [change(prompt) if change else prompt for prompt in prompts]

    def _key(self, what: str, asked: Sequence[Prompt], more: Any) -> str:
        said = [[message.plain() for message in prompt] for prompt in asked]
        return digest({"what": f"dial {what}", "model": dict(self.fingerprint), "prompts": said,
                       "made_by": made_by(), "more": more, "salt": self._salt})  # fmt: skip


class DialledScorer(Dialled):
    """The same for a model that says how likely given answers are; no temperature acts on that."""

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return the log-probability of each continuation of each prompt, as it was changed."""
        asked = self._changed(prompts)
        inner: Any = self._model
        given = [list(texts) for texts in continuations]
        key = self._key("logprobs", asked, given if given[1:] != given[:-1] else given[:1])
        found = self._store(key, lambda: {"rows": inner.logprobs(asked, continuations)})
        return [list(row) for row in found["rows"]]
