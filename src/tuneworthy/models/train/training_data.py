"""Training and dev rows of a run, as text and as token ids. Knows no loss and no adapter."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tuneworthy.models.local.chat_template import (
    Refused,
    closing_ids,
    conversation,
    prompt_ids,
    text_ids,
    token_ids,
)
from tuneworthy.models.local.thinking import Tags, opened
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError
from tuneworthy.records.record import digest

_PLACEHOLDER = "\U0010fffd"  # a private-use character in place of the answer


@dataclass(frozen=True)
class EncodedExample:
    """A row's token ids, and a mask that is True for each trained id (these come last).

    `prompt_weight` is the weight of a prompt token's loss; an answer token has weight 1.
    """

    ids: tuple[int, ...]
    mask: tuple[bool, ...]
    prompt_weight: float = 0.0

    @property
    def first(self) -> int:
        """Return the index of the first trained token, which is the length of the prompt."""
        return self.mask.index(True)

    @property
    def trained(self) -> int:
        """Return the number of trained tokens."""
        return sum(self.mask)

    @property
    def loss_start(self) -> int:
        """Return the index of the first token whose loss counts (token 0 is not predicted)."""
        return 1 if self.prompt_weight else self.first

    @property
    def total_weight(self) -> float:
        """Return the sum of the tokens' weights, the denominator of a weighted mean loss."""
        if not self.prompt_weight:
            return self.trained
        return self.trained + self.prompt_weight * (self.first - 1)


@dataclass(frozen=True)
class Excluded:
    """A row that cannot be trained on, and why."""

    reason: str


@dataclass(frozen=True)
class _ReplyText:
    """The text that a reply adds to the prompt: whitespace, the answer, and the end of the turn.

    `thought` are the tags of a thought that the prompt opens and the reply must close first.
    """

    prompt: str
    answer: str
    end: str
    thought: Tags | None = None

    @property
    def text(self) -> str:
        """Return the whole text that the reply adds."""
        closing = self.thought.end + self.thought.gap if self.thought else ""
        return closing + self.answer + self.end


def render(
    tokenizer: Any, messages: Sequence[Message], answer: str, context: int | None = None
) -> EncodedExample | Excluded:
    """Return a prompt and its answer as ids and mask, or why the row is excluded.

    The mask covers the ids after the prompt's own. It is checked by round trip: the trained ids
    must decode to the answer and its end of turn. `context` is the most tokens of a row. Raises
    ModelError if the tokenizer has no chat template.
    """
    if not answer.strip():
        return Excluded("the answer is empty")
    try:
        head = prompt_ids(tokenizer, messages)
        tail = _reply_text(tokenizer, messages, answer)
    except Refused as refusal:
        return Excluded(str(refusal))
    trained = _reply_ids(tokenizer, head, tail, _has_special(tokenizer, messages, answer))
    if _normalise(tokenizer.decode(trained)) != _normalise(tail.text):
        return Excluded("the answer does not survive the tokenizer")
    if context is not None and len(head) + len(trained) > context:
        return Excluded("longer than the model's context")
    return EncodedExample((*head, *trained), (False,) * len(head) + (True,) * len(trained))


def _reply_ids(tokenizer: Any, head: list[int], tail: _ReplyText, special: bool) -> list[int]:
    """Return the ids of the reply `tail`, which follow the prompt's ids `head`.

    If the answer's first characters would merge with the prompt's last ones, the answer is encoded
    separately, as a reply at inference is.
    """
    if not special and tail.thought is None:
        text = tail.prompt + tail.answer + tail.end
        whole = token_ids(tokenizer, text)
        if whole[: len(head)] == head:
            return whole[len(head) :]
    end = token_ids(tokenizer, tail.end)
    return [*closing_ids(tokenizer, tail.thought), *text_ids(tokenizer, tail.answer), *end]


def _reply_text(tokenizer: Any, messages: Sequence[Message], answer: str) -> _ReplyText:
    """Return the text that a reply adds to the prompt, up to and including its end of turn.

    A placeholder for the answer shows what the template writes around it. Text that it writes
    before the answer and not in the prompt is kept only if blank (an empty thinking block is no
    reply).
    """
    turns: list[tuple[str, str]] = [(m.role, m.content) for m in messages]
    probed = conversation(tokenizer, turns, _PLACEHOLDER)
    if probed.count(_PLACEHOLDER) != 1:
        raise Refused("no trained token: the chat template leaves the answer out")
    before, _, after = probed.partition(_PLACEHOLDER)
    shown = conversation(tokenizer, turns, answer)
    forms = (answer, answer.strip(), answer.rstrip(), answer.lstrip())
    form = next((form for form in forms if shown == before + form + after), None)
    if form is None:
        raise Refused("the chat template changes the answer")
    end = _end_of_turn(tokenizer, after)
    if end is None:
        raise Refused("neither the chat template nor the tokenizer has an end of turn")
    prompt = conversation(tokenizer, turns)
    if thought := opened(prompt):
        return _ReplyText(prompt, form, end, thought)
    lead = before[len(prompt) :] if before.startswith(prompt) else ""
    return _ReplyText(prompt, ("" if lead.strip() else lead) + form, end)


def _end_of_turn(tokenizer: Any, rest: str) -> str | None:
    """Return the end of turn in `rest`: its text up to the first added token, or the EOS token."""
    added = sorted((t.content for t in tokenizer.added_tokens_decoder.values()), key=len)
    match = re.search("|".join(map(re.escape, reversed(added))), rest) if added else None
    eos: str | None = tokenizer.eos_token
    return rest[: match.end()] if match else eos


def _has_special(tokenizer: Any, messages: Sequence[Message], answer: str) -> bool:
    text = "".join([*(m.content for m in messages), answer])
    return any(t.special and t.content in text for t in tokenizer.added_tokens_decoder.values())


def _normalise(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


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
        """Return the loss function for these examples; `rows` are their token ids."""
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
        """Raise ModelError if no row is usable or inference counts other prompt tokens."""
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
