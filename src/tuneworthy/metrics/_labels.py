"""Match an answer to a label: the whole answer, apart from outer space, case and Unicode form."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=65536)  # a task has few labels, and each is folded once per answer
def fold(text: str) -> str:
    """Return a text in Unicode NFC and lower case (case-folded), without surrounding space."""
    return unicodedata.normalize("NFC", spelling(text).casefold())


def spelling(text: str) -> str:
    """Return a text in Unicode NFC without surrounding space, its case kept.

    Files from macOS often hold NFD ("e" and an accent), models write NFC (one character).
    """
    return unicodedata.normalize("NFC", text).strip()


def match_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that equals the whole answer apart from space, case and Unicode form.

    None if no label does. A label in the answer's exact spelling goes before others.
    """
    said = spelling(text)
    wanted = fold(said)
    near = [label for label in labels if fold(label) == wanted]
    exact = [label for label in near if spelling(label) == said]
    return next(iter(exact or near), None)
