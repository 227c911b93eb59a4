"""Training and dev rows of a run, as text and as token ids. Knows no loss and no adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tuneworthy.core.case import Message
from tuneworthy.core.errors import ModelError
from tuneworthy.core.record import digest
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.training.render import EncodedExample, Excluded, render

TokenLoss = Callable[[Any, Sequence[EncodedExample]], Any]
"""Function that returns losses [answer tokens] from logits [answer tokens, vocabulary] and rows."""


@dataclass(frozen=True)
class Example:
    """A training row: the prompt in its inference form, and the answer."""

    id: str
    messages: Sequence[Message]
    answer: str


class Objective(Protocol):
    """A loss of answer tokens that replaces their likelihood in training."""

    @property
    def about(self) -> dict[str, Any]:
        """Return the loss's name and settings (JSON-ready), which identify it in checkpoints."""
        ...

    def prepared(self, examples: Sequence[Example], rows: Sequence[EncodedExample]) -> TokenLoss:
        """Return the loss function for these rows; `rows` are the examples as token ids."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """The training data of a run and the dev data that select its epoch.

    `replay` are general rows, trained on among the others (see `arms/_replay.py`).
    `dev_score(folder)` returns the task metric (higher is better) of the adapter in `folder`.
    Without it, or without dev examples, the last epoch is kept. `objective` replaces the likelihood
    of the training answers; the loss of dev rows is always their likelihood.
    """

    train: Sequence[Example]
    dev: Sequence[Example]
    dev_score: Callable[[Path], float] | None
    say: Callable[[str], None] = lambda text: None
    replay: Sequence[Example] = ()
    objective: Objective | None = None


@dataclass
class EncodedRows:
    """Usable examples with their token ids, and the ids of excluded examples by reason."""

    used: list[Example] = field(default_factory=list)
    rows: list[EncodedExample] = field(default_factory=list)
    excluded: dict[str, list[str]] = field(default_factory=dict)

    @staticmethod
    def of(model: Any, examples: Sequence[Example], prompt_loss: float = 0.0) -> EncodedRows:
        result = EncodedRows()
        for example in examples:
            row = render(model.tokenizer, example.messages, example.answer, model.context)
            if isinstance(row, Excluded):
                result.excluded.setdefault(row.reason, []).append(example.id)
            else:
                result.used.append(example)
                result.rows.append(replace(row, prompt_weight=prompt_loss))
        return result

    def account(self) -> dict[str, Any]:
        given = len(self.used) + sum(map(len, self.excluded.values()))
        return {"given": given, "used": len(self.used), "excluded": self.excluded}

    def digest(self, dev: EncodedRows) -> str:
        """Return the hash of all training and dev data: ids, texts and tokens."""
        given = [
            (e.id, [m.plain() for m in e.messages], e.answer, row.ids, row.first)
            for part in (self, dev)
            for e, row in zip(part.used, part.rows, strict=True)
        ]
        return digest([given, self.excluded, dev.excluded])

    def check(self, model: Any) -> None:
        """Raise ModelError without a usable row, or if token counts of prompts differ."""
        if not self.rows:
            raise ModelError(  # only this arm fails: others may read these rows
                "no row can be trained on",
                got="; ".join(f"{len(ids)}: {reason}" for reason, ids in self.excluded.items()),
                fix="look at the excluded rows, or choose a model with a longer context",
            )
        for example in self.used[:32]:
            ours = len(prompt_ids(model.tokenizer, example.messages))
            if ours != (counted := model.count_tokens(example.messages)):
                raise ModelError(
                    "training and asking would render the same prompt differently",
                    where=example.id,
                    got=f"{ours} tokens in training, {counted} when asked",
                    fix="report this model's chat template; until then `tune` another model",
                )
