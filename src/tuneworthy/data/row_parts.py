"""Join several columns to one input, split a cell's labels into a list, read a row's split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.data.column_values import value_of
from tuneworthy.data.rows import as_text

PART_NAMES = ("train", "test", "dev")
_PART_OF = {
    "train": "train", "training": "train", "trn": "train", "test": "test", "tst": "test",
    "testing": "test", "eval": "test", "evaluation": "test", "holdout": "test", "dev": "dev",
    "valid": "dev", "validation": "dev", "val": "dev",
}  # fmt: skip
_SEPARATORS = (";", "|", ",")
_LEAST_SHARE = 0.05  # share of cells with a mark, from which it may separate labels
_LONGEST_LABEL = 60


def joined_input(record: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """Return the input of a record: one column's value, or lines `name: text` of several."""
    if len(columns) == 1:
        return value_of(record, columns[0])
    found = [(name, value_of(record, name)) for name in columns]
    texts = [f"{name}: {as_text(value)}" for name, value in found if value not in (None, "")]
    return "\n".join(texts) or None


def label_list(value: Any, mark: str) -> Any:
    """Return a cell's labels, separated by `mark`, as a sorted list.

    Without a mark, a value is returned as it is, as is one that is no text.
    """
    if not mark or not isinstance(value, str):
        return value
    return sorted({label for part in value.split(mark) if (label := part.strip())})


def likely_mark(values: Sequence[Any]) -> str:
    """Return the mark that separates several labels of one cell, "" if each cell is one label.

    Each label must occur in two cells, and there must be fewer labels than distinct cells: else the
    mark, as a comma inside a name, separates nothing.
    """
    texts = [value for value in values if isinstance(value, str)]
    for mark in _SEPARATORS:
        several = [text for text in texts if mark in text.strip(f"{mark} ")]
        if len(several) < max(2, _LEAST_SHARE * len(texts)):
            continue
        counts = Counter(label for text in texts for label in label_list(text, mark))
        whole = len(set(texts))
        short = all(len(label) <= _LONGEST_LABEL for label in counts)
        if short and len(counts) < whole and min(counts.values()) > 1:
            return mark
    return ""


def part_of(value: Any) -> str:
    """Return `train`, `test` or `dev` for the name of a split, "" for any other value."""
    return _PART_OF.get(str(value).strip().casefold(), "")


def has_parts(values: Sequence[Any]) -> bool:
    """Return whether a column names each row's split: `train`, and `test` or `dev`."""
    parts = {part_of(value) for value in values}
    return "train" in parts and len(parts) > 1 and "" not in parts
