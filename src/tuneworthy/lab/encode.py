"""Turn rows into the token ids of a run, as its configuration says.

`pad_token`, `max_length`, `loss` and `packing` are options that real trainers have, with the
effect that they have there; a case may render its rows in a way of its own. Knows no page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuneworthy.core.case import Message
from tuneworthy.core.errors import DataError
from tuneworthy.core.failure import Config, LabRow, TokenRow
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.training.render import EncodedExample, Excluded, render

Render = Callable[[TokenRow, Config], TokenRow]


@dataclass(frozen=True)
class EncodedRow:
    """A row, its whole ids as a clean run has them, and the ids as this run has them."""

    row: LabRow
    whole: TokenRow
    used: TokenRow
    prompt_weight: float = 0.0

    @property
    def example(self) -> EncodedExample:
        """Return the row for the training loop."""
        ids, first = self.used.ids, self.used.first
        mask = (False,) * first + (True,) * (len(ids) - first)
        return EncodedExample(ids, mask, self.prompt_weight)


def clean_row(tokenizer: Any, row: LabRow) -> TokenRow:
    """Return the ids of a row with the right mask. Raise DataError if it can't be rendered."""
    done = render(tokenizer, row.messages, row.output)
    if isinstance(done, Excluded):
        raise DataError("a row of the lab cannot be trained on", where=row.id, got=done.reason)
    return TokenRow(done.ids, done.first)


def encode(
    tokenizer: Any, rows: Sequence[LabRow], config: Config, own: Render | None = None
) -> list[EncodedRow]:
    """Return the rows as a run with this configuration trains on them; `own` is a case's render."""
    whole = [clean_row(tokenizer, row) for row in rows]
    used = [_used(tokenizer, row, ids, config) for row, ids in zip(rows, whole, strict=True)]
    if config["packing"]:
        before = [used[-1], *used[:-1]]
        used = [ids.behind(left.ids) for ids, left in zip(used, before, strict=True)]
    if own:
        used = [own(ids, config) for ids in used]
    weight = 1.0 if config["loss"] == "all" else 0.0
    return [EncodedRow(*each, weight) for each in zip(rows, whole, used, strict=True)]


def _used(tokenizer: Any, row: LabRow, ids: TokenRow, config: Config) -> TokenRow:
    if config["loss"] == "prompt":  # a mask that is off by one turn trains the user's turn
        start = len(_ids_before_question(tokenizer, row.messages))
        ids = replace(ids, ids=ids.ids[: ids.first], first=start, dropped=ids.ids[ids.first :])
    end = tokenizer.convert_ids_to_tokens(ids.ids[-1])
    if config["pad_token"] == end:  # padding has no loss, so neither has what looks like it
        ids = ids.without_last()
    most = config["max_length"]
    return ids.cut_to(int(most)) if most and len(ids.ids) > int(most) else ids


def _ids_before_question(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the ids that stand before the text of the last user turn."""
    whole = prompt_ids(tokenizer, messages)
    asked = list(messages)
    at = max(k for k, turn in enumerate(asked) if turn.role == "user")
    asked[at] = asked[at].model_copy(update={"content": "\U0010fffd"})
    other = prompt_ids(tokenizer, asked)
    pairs = zip(whole, other, strict=False)
    return whole[: next(k for k, (ours, theirs) in enumerate(pairs) if ours != theirs)]


def served_messages(messages: Sequence[Message], template: str) -> tuple[Message, ...]:
    """Return the conversation as it is served: as trained (`chat`), or as one plain text."""
    if template == "chat":
        return tuple(messages)
    system = "\n".join(m.content for m in messages if m.role == "system")
    rest = "\n".join(m.content for m in messages if m.role != "system")
    text = f"### Instruction:\n{system}\n\n### Input:\n{rest}\n\n### Response:\n"
    return (Message(role="user", content=text),)
