"""What an answer has that others may lack: its label, its keys, its label-like values, its size.

Knows answers as text alone, so that the choice of examples needs no task.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

Feature = tuple[str, str, str]
_VALUES = 20
_LABEL = 80
_PARTS = 3


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
        frozenset({("value", "size", str(ranked.index(len(text)) * _PARTS // len(ranked)))})
        for text in outputs
    ]


def weight(feature: Feature, share: float) -> float:
    """Return what it is worth to cover a feature that this share of the answers has."""
    return 1 + share if feature[0] == "value" else 0.6 * share**0.5


def _of_json(values: Sequence[Any]) -> list[frozenset[Feature]]:
    table = [list(_leaves(value, "")) for value in values]
    seen: dict[str, set[str]] = defaultdict(set)
    rows: dict[str, int] = defaultdict(int)
    for found in table:
        for path in {path for path, _ in found}:
            rows[path] += 1
        for path, value in found:
            seen[path].add(value)
    limit = min(_VALUES, len(values) // 2)
    like_labels = {
        path for path in seen if 1 < len(seen[path]) <= limit and rows[path] * 2 >= len(values)
    }
    return [
        frozenset(
            {("key", path, "") for path, _ in found}
            | {("value", path, value) for path, value in found if path in like_labels}
        )
        for found in table
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
