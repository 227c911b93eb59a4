"""Inspect logs: samples with their target and the model's answer."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

from tuneworthy.rows.bad_rows import ImportedRow, RawRow
from tuneworthy.rows.chat import plain_turn
from tuneworthy.rows.importers._values import (
    answer_fields,
    answer_text,
    input_fields,
    nested_value,
    right_answer_fields,
)

FORMAT = "an Inspect log"
NEEDS = ("input", "target", "epoch", "output")
TAKES = ("`input` (and `choices`)", "`target`")


def fits(record: RawRow) -> bool:
    """Return whether a record is a sample of a log."""
    return {"input", "target", "epoch"} <= record.fields.keys()


def note(record: RawRow, notes: dict[str, Any]) -> None:
    """Write the name of the evaluated model to `notes`."""
    if record.at == ("eval",) and isinstance(record.fields.get("model"), str):
        notes["model"] = record.fields["model"]


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of a sample with the model's answer; later epochs are repeats of it."""
    value, epoch = record.fields, record.fields.get("epoch")
    fields = input_fields(value["input"]) or {}
    choices, letters = value.get("choices"), string.ascii_uppercase
    if isinstance(choices, list) and "input" in fields:
        listed = [f"{letter}) {text}" for letter, text in zip(letters, choices, strict=False)]
        fields["input"] = "\n".join([str(fields["input"]), "", *listed])
    turns = value.get("messages")
    turns = turns if isinstance(turns, list) else []
    system = [one for one in turns if nested_value(one, "role") == "system"]
    if system and "input" in fields:
        fields = {"messages": [plain_turn(system[0]), {"role": "user", "content": fields["input"]}]}
    output = value.get("output") or {}
    text = _chosen_letter(value) or answer_text(nested_value(output, "completion"))
    found = answer_fields(
        text,
        seconds=nested_value(output, "time"),
        tokens_in=nested_value(output, "usage", "input_tokens"),
        tokens_out=nested_value(output, "usage", "output_tokens"),
    )
    name = str(notes.get("model") or nested_value(output, "model") or "model")
    row = {**fields, **right_answer_fields(value["target"])}
    repeat = epoch if isinstance(epoch, int) else 1
    yield ImportedRow(row, {name: found} if found else {}, f"{value.get('id')}", repeat=repeat)


def _chosen_letter(value: dict[str, Any]) -> str | None:
    """Return the letter that a multiple-choice scorer read from the answer, else None."""
    if not value.get("choices"):
        return None
    scores = value.get("scores") or {}
    found = (
        [nested_value(one, "answer") for one in scores.values()] if isinstance(scores, dict) else []
    )
    return next((one for one in found if isinstance(one, str) and one), None)
