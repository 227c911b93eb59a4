"""Match an answer to a label: the whole answer, apart from surrounding space and case."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=65536)  # a task has few labels, and each is folded once per answer
def fold(text: str) -> str:
    """Return a text in lower case (case-folded), without surrounding space."""
    return text.strip().casefold()


def match_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that equals the whole answer but for space and case; None if none does.

    A label in the answer's exact spelling goes before others.
    """
    said = text.strip()
    wanted = fold(said)
    near = [label for label in labels if fold(label) == wanted]
    exact = [label for label in near if label.strip() == said]
    return next(iter(exact or near), None)
