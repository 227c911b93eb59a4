"""Find features of answers for a varied choice of examples: label, keys, label-like values, size.

It reads answers only as text, so that the choice of examples needs no task.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

Feature = tuple[str, str, str]
_MOST_LABEL_LIKE_VALUES = 20
_MOST_LABEL_CHARACTERS = 80
_SIZE_CLASSES = 3


def answer_features(outputs: Sequence[str]) -> list[frozenset[Feature]]:
    """Return the features of each answer: of its JSON, its label, or its length."""
    parsed = [_parse_or_none(text) for text in outputs]
    if all(isinstance(value, dict | list) for value in parsed):
        return _json_features(parsed)
    folded = [text.strip().casefold() for text in outputs]
    if len(set(folded)) * 2 <= len(folded) and max(map(len, folded)) <= _MOST_LABEL_CHARACTERS:
        return [frozenset({("value", "", text)}) for text in folded]
    ranked = sorted(map(len, outputs))
    return [
        frozenset({("value", "size", str(ranked.index(len(text)) * _SIZE_CLASSES // len(ranked)))})
        for text in outputs
    ]


def feature_weight(feature: Feature, share: float) -> float:
    """Return how much an example that covers a feature is worth; `share` of answers have it."""
    return 1 + share if feature[0] == "value" else 0.6 * share**0.5


def _json_features(values: Sequence[Any]) -> list[frozenset[Feature]]:
    table = [list(_json_leaves(value, "")) for value in values]
    values_of: dict[str, set[str]] = defaultdict(set)
    rows: dict[str, int] = defaultdict(int)
    for leaves in table:
        for path in {path for path, _ in leaves}:
            rows[path] += 1
        for path, value in leaves:
            values_of[path].add(value)
    limit = min(_MOST_LABEL_LIKE_VALUES, len(values) // 2)
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


def _json_leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _json_leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _json_leaves(inner, f"{path}[]")
    else:
        yield path, json.dumps(value)


def _parse_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
