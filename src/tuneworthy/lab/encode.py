"""Turn rows into the token ids of a run, and train the adapter of cards and the playground.

`pad_token`, `max_length`, `loss` and `packing` have the effect that they have in real trainers; a
case may render its rows differently. Knows no page.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuneworthy.lab.events import SCHEMA
from tuneworthy.models.local.chat_template import one_template, prompt_ids
from tuneworthy.models.train.training_data import EncodedExample, Excluded, render
from tuneworthy.records.case import Message
from tuneworthy.records.errors import DataError
from tuneworthy.records.failure import DEFAULTS, Config, LabRow, LabRows, TokenRow, Value
from tuneworthy.records.record import digest

_OWN_TEMPLATE = "(the template of training)"

SERVED_TEMPLATES = {
    "chat": _OWN_TEMPLATE,
    "no reply header": "{% set add_generation_prompt = false %}" + _OWN_TEMPLATE,
    "brackets": (
        "{% for m in messages %}"
        "{% if m.role == 'system' %}<<SYS>>\n{{ m.content }}\n<</SYS>>\n\n"
        "{% elif m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    ),
    "plain": (
        "{% for m in messages %}"
        "{% if m.role == 'system' %}{{ m.content }}\n\n"
        "{% elif m.role == 'user' %}### Input:\n{{ m.content }}\n\n"
        "{% else %}### Response:\n{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}### Response:\n{% endif %}"
    ),
}

"""Chat templates of serving by name: that of training, one without the header of the model's turn,
one with the brackets of another model family, and plain text."""

_RenderRow = Callable[[TokenRow, Config], TokenRow]


@dataclass(frozen=True)
class EncodedRow:
    """A row with its token ids in a clean run (`clean_row`) and in this run (`used_row`).

    `cut`: ids were cut off. `on_prompt`: the loss is on the user's turn, not on the answer.
    """

    row: LabRow
    clean_row: TokenRow
    used_row: TokenRow
    prompt_weight: float = 0.0
    cut: bool = False
    on_prompt: bool = False

    @property
    def example(self) -> EncodedExample:
        """Return the row for the training loop."""
        ids, first = self.used_row.ids, self.used_row.first
        mask = (False,) * first + (True,) * (len(ids) - first)
        return EncodedExample(ids, mask, self.prompt_weight)


def clean_row(tokenizer: Any, row: LabRow) -> TokenRow:
    """Return a row's ids with the right loss mask. Raises DataError if it can't be rendered."""
    done = render(tokenizer, row.messages, row.output)
    if isinstance(done, Excluded):
        raise DataError("a row of the lab cannot be trained on", where=row.id, got=done.reason)
    return TokenRow(done.ids, done.first)


def encode_rows(
    tokenizer: Any, rows: Sequence[LabRow], config: Config, own: _RenderRow | None = None
) -> list[EncodedRow]:
    """Return the rows as this configuration trains on them; `own` is a case's own render."""
    whole = [clean_row(tokenizer, row) for row in rows]
    masked = [
        _apply_loss_mask(tokenizer, row, ids, config) for row, ids in zip(rows, whole, strict=True)
    ]
    used = [_cut_row(ids, config["max_length"]) for ids in masked]
    cut = [short is not ids for short, ids in zip(used, masked, strict=True)]
    if config["packing"]:
        before = [used[-1], *used[:-1]]
        used = [ids.with_prefix(left.ids) for ids, left in zip(used, before, strict=True)]
    if own:
        used = [own(ids, config) for ids in used]
    weight, on_prompt = 1.0 if config["loss"] == "all" else 0.0, config["loss"] == "prompt"
    each = zip(rows, whole, used, cut, strict=True)
    return [EncodedRow(row, ids, now, weight, short, on_prompt) for row, ids, now, short in each]


def _apply_loss_mask(tokenizer: Any, row: LabRow, ids: TokenRow, config: Config) -> TokenRow:
    """Return the row with its loss where `config` puts it: ids from `first` on carry loss."""
    if config["loss"] == "prompt":  # a mask that is off by one turn trains the user's turn
        start = len(_ids_before_question(tokenizer, row.messages))
        ids = replace(ids, ids=ids.ids[: ids.first], first=start, dropped=ids.ids[ids.first :])
    end = tokenizer.convert_ids_to_tokens(ids.ids[-1])
    # Padding has no loss, so neither has an end of turn that is the same token.
    return ids.without_last() if config["pad_token"] == end else ids


def _cut_row(ids: TokenRow, most: Value) -> TokenRow:
    """Return the row cut to `most` ids, one trained id at least; a short row is unchanged."""
    keep = max(int(most or 0), ids.first + 1)
    return ids.cut_to(keep) if most and len(ids.ids) > keep else ids


def _ids_before_question(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the ids before the text of the last user turn."""
    whole = prompt_ids(tokenizer, messages)
    asked = list(messages)
    at = max(k for k, turn in enumerate(asked) if turn.role == "user")
    asked[at] = asked[at].model_copy(update={"content": "\U0010fffd"})
    other = prompt_ids(tokenizer, asked)
    pairs = zip(whole, other, strict=False)
    return whole[: next(k for k, (ours, theirs) in enumerate(pairs) if ours != theirs)]


@contextmanager
def serving_template(tokenizer: Any, name: str) -> Iterator[None]:
    """Set the tokenizer's chat template to the named one in this block; "chat" is that of training.

    Raises DataError if no template has this name.
    """
    own = one_template(tokenizer)
    if name not in SERVED_TEMPLATES:
        raise DataError("no template has this name", where="serve.template", got=name,
                        fix=f"there are: {', '.join(SERVED_TEMPLATES)}")  # fmt: skip
    tokenizer.chat_template = SERVED_TEMPLATES[name].replace(_OWN_TEMPLATE, own)
    try:
        yield
    finally:
        tokenizer.chat_template = own


def trained_model(
    model: Any,
    rows: LabRows,
    seed: int,
    shared: Path,
    config: Config = DEFAULTS,
) -> Any:
    """Return the model with an adapter for these rows; train it unless `shared` has it stored.

    It is trained by `config`, the lab's clean configuration. It appears in `shared` whole or not
    at all. Raises what training raises.
    """
    from tuneworthy.models.train.adapter import read_sealed

    key = [SCHEMA, model.fingerprint, seed, dict(config), [row.id for row in rows.train]]
    folder = shared / f"adapter-{digest(key, 16)}"
    if read_sealed(folder) is None:
        _train_adapter(model, rows, (seed, folder), config)
    return model.with_adapter(folder)


def _train_adapter(model: Any, rows: LabRows, where: tuple[int, Path], config: Config) -> None:
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings
    from tuneworthy.models.train.watched import Look, train_watched

    seed, folder = where
    examples = [each.example for each in encode_rows(model.tokenizer, rows.train, config)]
    values: dict[str, Any] = dict(config)
    pace = TrainingSchedule(epochs=values["epochs"], batch=values["batch"], rate=values["rate"])
    settings = LoraSettings(pace=pace, rank=values["rank"], alpha=2 * values["rank"])
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    steps = pace.epochs * -(-len(examples) // pace.batch)

    def save(look: Look) -> None:
        look.tuned(part / "adapter")

    try:
        train_watched(model, examples, settings, (seed, part), [steps], (save, lambda step: None))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part / "adapter", folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
