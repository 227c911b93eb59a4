"""Draw distinct rows from a seed: no copies, no near-copies, same seed, same rows."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tuneworthy.core.errors import TaskError

SHINGLE = 5  # characters
TOO_NEAR = 0.8  # Jaccard similarity from which two inputs count as near-copies
PATIENCE = 200  # draws for one row before giving up


def shingles(text: str) -> frozenset[str]:
    """Return the 5-character shingles of a text, case and space normalised."""
    plain = " ".join(text.lower().split())
    return frozenset(plain[i : i + SHINGLE] for i in range(max(1, len(plain) - SHINGLE + 1)))


def draw_distinct(n: int, draw: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw n rows whose inputs are no near-copies of each other (shingle Jaccard below .8).

    `draw(i)` makes a candidate for row i. Raises TaskError if the generator's words are exhausted.
    """
    rows: list[dict[str, Any]] = []
    seen: list[frozenset[str]] = []
    for number in range(n):
        for _ in range(PATIENCE):
            row = draw(number)
            own = shingles(row["input"])
            if not any(_near(own, other) for other in seen):
                break
        else:
            raise TaskError(
                "the generator has no more rows that differ enough",
                got=f"{number} of {n} rows",
                fix="ask for fewer rows",
            )
        rows.append(row)
        seen.append(own)
    return rows


def _near(one: frozenset[str], other: frozenset[str]) -> bool:
    """Return whether two sets of shingles are near-copies; sizes alone rule out most pairs."""
    a, b = len(one), len(other)
    if min(a, b) < TOO_NEAR * max(a, b):
        return False
    both = len(one & other)
    return both >= TOO_NEAR * (a + b - both)


def add_typo(rng: Random, text: str, spare: frozenset[str]) -> str:
    """Return the text with one typing error, in a word outside `spare` (words of the answer)."""
    words = text.split(" ")
    places = [i for i, w in enumerate(words) if len(w) > 4 and w.isalpha() and w not in spare]
    if not places:
        return text
    at = rng.choice(places)
    word, k = words[at], rng.randrange(1, len(words[at]) - 2)
    slips = (
        word[:k] + word[k + 1] + word[k] + word[k + 2 :],
        word[:k] + word[k + 1 :],
        word[:k] + word[k] + word[k:],
    )
    words[at] = rng.choice(slips)
    return " ".join(words)
