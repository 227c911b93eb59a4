"""A generated task: its rows, the content of its task.yaml, and why a bare model fails on it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Literal

from tuneworthy.records.errors import TaskError

Cause = Literal["format", "convention", "knowledge", "learnable", "capability"]

LORA_OPTIONS = {"epochs": 1}  # three epochs would exceed the demo's time on a slow machine


@dataclass(frozen=True)
class GeneratedTask:
    """A generated task. Rows from index `split` on are test rows; no input occurs in both parts.

    `task` is the content of task.yaml without its `data` paths. `docs` and `schema` are the
    documents and the JSON schema of a task that has them. `cause` is what a bare model lacks.
    """

    rows: tuple[dict[str, Any], ...]
    task: Mapping[str, Any]
    cause: Cause
    split: int
    title: str
    about: str
    docs: tuple[dict[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None


def two_thirds(n: int) -> int:
    """Return the index of the first test row, two thirds of `n` rows rounded up."""
    return n - n // 3


@lru_cache
def load_words(name: str) -> Any:
    """Return the lists and tables of `words/NAME.toml` as attributes."""
    path = Path(__file__).parent / "words" / f"{name}.toml"
    return SimpleNamespace(**tomllib.loads(path.read_text("utf-8")))


_SHINGLE_LENGTH = 5  # characters

NEAR_COPY_SIMILARITY = 0.8  # Jaccard similarity from which two inputs count as near-copies

_MOST_DRAWS_PER_ROW = 200  # draws for one row before giving up


def shingles(text: str) -> frozenset[str]:
    """Return the 5-character shingles of a text, case and space normalised."""
    plain = " ".join(text.lower().split())
    return frozenset(
        plain[i : i + _SHINGLE_LENGTH] for i in range(max(1, len(plain) - _SHINGLE_LENGTH + 1))
    )


class SeenInputs:
    """The inputs drawn so far, as sets of numbered shingles, with an index to find near-copies.

    Prefix filter of set-similarity joins (Chaudhuri and others, 2006): under one order of all
    shingles, two sets with a Jaccard similarity of .8 share one of the first fifth of each.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._sets: list[frozenset[int]] = []
        self._sets_with: dict[
            int, list[int]
        ] = {}  # shingle -> sets that have it in their first fifth

    def add(self, text: str) -> bool:
        """Add an input and return True; add nothing and return False if it is a near-copy."""
        numbers = self._numbers
        own = frozenset(numbers.setdefault(one, len(numbers)) for one in shingles(text))
        first = sorted(own, reverse=True)[
            : len(own) // 5 + 1
        ]  # the shingles numbered last are the rarest
        near = {at for one in first for at in self._sets_with.get(one, ())}
        if any(_are_near_copies(own, self._sets[at]) for at in near):
            return False
        for one in first:
            self._sets_with.setdefault(one, []).append(len(self._sets))
        self._sets.append(own)
        return True


def _are_near_copies(one: frozenset[int], other: frozenset[int]) -> bool:
    shared = len(one & other)
    return shared >= NEAR_COPY_SIMILARITY * (len(one) + len(other) - shared)


def draw_distinct(n: int, draw: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return n drawn rows whose inputs are no near-copies of each other (shingle Jaccard below .8).

    `draw(i)` returns a candidate for row i. Raises TaskError if 200 candidates for a row fail.
    """
    rows: list[dict[str, Any]] = []
    seen = SeenInputs()
    for number in range(n):
        for _ in range(_MOST_DRAWS_PER_ROW):
            row = draw(number)
            if seen.add(row["input"]):
                break
        else:
            raise TaskError(
                "the generator has no more rows that differ enough",
                got=f"{number} of {n} rows",
                fix="ask for fewer rows",
            )
        rows.append(row)
    return rows


def add_typo(rng: Random, text: str, spare: frozenset[str]) -> str:
    """Return the text with one typing error in a word that is not in `spare` (answer words)."""
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
