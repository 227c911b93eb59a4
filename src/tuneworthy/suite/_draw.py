"""Draw distinct rows from a seed: no copies, no near-copies, same seed, same rows."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tuneworthy.core.errors import TaskError

SHINGLE = 5  # characters
TOO_NEAR = 0.8  # Jaccard similarity from which two inputs count as near-copies
MOST_DRAWS = 200  # draws for one row before giving up


def shingles(text: str) -> frozenset[str]:
    """Return the 5-character shingles of a text, case and space normalised."""
    plain = " ".join(text.lower().split())
    return frozenset(plain[i : i + SHINGLE] for i in range(max(1, len(plain) - SHINGLE + 1)))


def draw_distinct(n: int, draw: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw n rows whose inputs are no near-copies of each other (shingle Jaccard below .8).

    `draw(i)` makes a candidate for row i. Raises TaskError if the generator's words are exhausted.
    """
    rows: list[dict[str, Any]] = []
    seen: list[int] = []
    bits: dict[str, int] = {}  # bits of a number compare 5 to 15 times as fast as sets
    for number in range(n):
        for _ in range(MOST_DRAWS):
            row = draw(number)
            own = sum(1 << bits.setdefault(one, len(bits)) for one in shingles(row["input"]))
            if all(
                (own & other).bit_count() < TOO_NEAR * (own | other).bit_count() for other in seen
            ):
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
