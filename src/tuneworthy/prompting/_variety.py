"""Features of an answer for a varied choice of examples: label, keys, label-like values, size.

Reads answers as text alone, so that the choice of examples needs no task.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

Feature = tuple[str, str, str]
_VALUES = 20
_LABEL = 80
_SIZE_CLASSES = 3


def features(outputs: Sequence[str]) -> list[frozenset[Feature]]:
    """Return the features of each answer: of JSON, of labels, or of text by length."""
    parsed = [_read(text) for text in outputs]
    if all(isinstance(value, dict | list) for value in parsed):
        return _of_json(parsed)
    folded = [text.strip().casefold() for text in outputs]
    if len(set(folded)) * 2 <= len(folded) and max(map(len, folded)) <= _LABEL:
        return [frozenset({("value", "", text)}) for text in folded]
    ranked = sorted(map(len, outputs))
    return [
        frozenset({("value", "size", str(ranked.index(len(text)) * _SIZE_CLASSES // len(ranked)))})
        for text in outputs
    ]


def weight(feature: Feature, share: float) -> float:
    """Return the value of covering a feature that this share of the answers has."""
    return 1 + share if feature[0] == "value" else 0.6 * share**0.5


def _of_json(values: Sequence[Any]) -> list[frozenset[Feature]]:
    table = [list(_leaves(value, "")) for value in values]
    values_of: dict[str, set[str]] = defaultdict(set)
    rows: dict[str, int] = defaultdict(int)
    for leaves in table:
        for path in {path for path, _ in leaves}:
            rows[path] += 1
        for path, value in leaves:
            values_of[path].add(value)
    limit = min(_VALUES, len(values) // 2)
    like_labels = {
        path
        for path in values_of
        if 1 < len(values_of[path]) <= limit and rows[path] * 2 >= len(values)
    }
    return [
        frozenset(
            {("key", path, "") for path, _ in leaves}
            | {("value", path, value) for path, value in leaves if path in like_labels}
        )
        for leaves in table
    ]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaves(inner, f"{path}[]")
    else:
        yield path, json.dumps(value)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
