"""When an answer is a label: equal after trimming space and case, and nothing around it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=65536)  # a task has few labels, and each is read once an answer
def fold(text: str) -> str:
    """Return text without the space around it and without case."""
    return text.strip().casefold()


def matched(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that a whole answer is, or None; the exact spelling wins."""
    said = text.strip()
    wanted = fold(said)
    near = [label for label in labels if fold(label) == wanted]
    exact = [label for label in near if label.strip() == said]
    return next(iter(exact or near), None)
