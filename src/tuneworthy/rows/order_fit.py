"""Test whether answers fit their rows in file order, for logs without ids.

The answers are compared with the gold answers by shared words (Jaccard similarity). In a shuffled
log they fit no better than in a random order: the test is a permutation test with the moments of
Hoeffding (1951), "A combinatorial central limit theorem". A log with a missing or duplicate row
fits up to that row and is shifted by one after it: each shift of up to three rows is tested.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from tuneworthy.rows.copies import normalised_text

_LEAST_ANSWERS = 8  # minimum number of answers for a test
# Standard deviations above a random order; a shuffled log passes once in 100.
_SURE_DEVIATIONS = 2.33
# Standard deviations by which a shift of the last rows must fit better, than their own rows and,
# where ids vouch for the order, than a random order.
_SHIFTED_DEVIATIONS = 4.0
_SHIFTS = (1, -1, 2, -2, 3, -3)
_MOST_ANSWERS = 600  # maximum of answers in the pairwise comparison
_MAX_WORDS = 300  # maximum of distinct words per text
_WORD_PATTERN = re.compile(r"\w+")
Array = np.ndarray[Any, Any]


def order_misfit(answers: Sequence[str], right: Sequence[str]) -> str:
    """Return a sentence on how answers fit another order of rows better, "" if they don't.

    Answer k belongs to the gold answer of row k. Identical answers fit any order.
    """
    if len(answers) < _LEAST_ANSWERS:
        return ""
    words = [_word_sets(answers), _word_sets(right)]
    if (said := _shifted_misfit(words[0], words[1])[0]) != "":
        return said
    return _random_order_misfit(answers, right, words)


def _random_order_misfit(
    answers: Sequence[str],
    right: Sequence[str],
    words: Sequence[Sequence[frozenset[str]]],
    deviations: float = _SURE_DEVIATIONS,
) -> str:
    """Return a sentence if the given order fits no better than a random one, "" if it does."""
    at = np.arange(len(answers))
    if at.size > _MOST_ANSWERS:
        at = np.sort(np.random.default_rng(0).choice(at, _MOST_ANSWERS, replace=False))
    like = _similarity_matrix(*([texts[i] for i in at.tolist()] for texts in words))
    centred = like - like.mean(0) - like.mean(1)[:, None] + like.mean()
    spread = float((centred**2).sum() / (at.size - 1)) ** 0.5
    given, chance = float(np.trace(like)), float(like.sum() / at.size)
    if spread < 1e-9 or given > chance + deviations * spread:
        return ""
    # Imported here: it takes as long as half of a command's start, and few logs come this far.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-like)
    best = float(like[rows, columns].sum())
    equal, most = _count_equal(answers, right)
    if most > equal:
        return (
            f"{equal:,} of {len(answers):,} answers equal the right answer of their row, no more"
            f" than in a random order; in another order {most:,} would"
        )
    share = [f"{100 * value / at.size:.0f} %" for value in (given, chance, best)]
    return (
        f"answers share {share[0]} of their words with the right answer of their row, no more than"
        f" in a random order ({share[1]}); in another order {share[2]}"
    )


def _count_equal(answers: Sequence[str], right: Sequence[str]) -> tuple[int, int]:
    """Return how many answers equal their right answer in the given order, and in the best."""
    said, gold = (
        [normalised_text(text) for text in answers],
        [normalised_text(text) for text in right],
    )
    common = Counter(said) & Counter(gold)
    return sum(one == other for one, other in zip(said, gold, strict=True)), common.total()


def shifted_misfit(answers: Sequence[str], right: Sequence[str]) -> str:
    """Return a sentence if most answers fit rows up to three places away better, "" if they don't.

    Answer k belongs to the gold answer of row k. They must fit those rows better than in a random
    order too: a system that is always wrong fits any other rows better than its own.
    """
    said, first, shift = _shifted_misfit(_word_sets(answers), _word_sets(right))
    if not said or first >= len(answers) / 2:
        return ""
    at = range(max(0, -shift), min(len(answers), len(answers) - shift))
    moved, gold = [answers[i] for i in at], [right[i + shift] for i in at]
    words = [_word_sets(moved), _word_sets(gold)]
    return "" if _random_order_misfit(moved, gold, words, _SHIFTED_DEVIATIONS) else said


def _shifted_misfit(
    said: Sequence[frozenset[str]], gold: Sequence[frozenset[str]]
) -> tuple[str, int, int]:
    """Return (that the last answers fit rows up to three places away better, first one, places)."""
    own = np.array([_jaccard(a, b) for a, b in zip(said, gold, strict=True)])
    for shift in _SHIFTS:
        at = np.arange(max(0, -shift), min(len(own), len(own) - shift))
        other = np.array([_jaccard(said[i], gold[i + shift]) for i in at.tolist()])
        gain = (other - own[at])[::-1]
        total, noise = np.cumsum(gain), np.sqrt(np.cumsum(gain**2))
        best = int(np.argmax(total - _SHIFTED_DEVIATIONS * noise)) if at.size else 0
        if at.size >= _LEAST_ANSWERS and total[best] >= _SHIFTED_DEVIATIONS * noise[best] > 0:
            first = int(at[::-1][best])
            places = (
                f"{abs(shift)} row{'s' * (abs(shift) > 1)} {'later' if shift > 0 else 'before'}"
            )
            n = len(own) - first
            return (
                (
                    f"{first:,} of {len(own):,} answers fit their rows; the last {n:,} fit the rows"
                    f" {places} better"
                ),
                first,
                shift,
            )
    return "", 0, 0


def _similarity_matrix(answers: Sequence[frozenset[str]], right: Sequence[frozenset[str]]) -> Array:
    """Return the word Jaccard similarities, shape [answers, gold answers]."""
    number: dict[str, int] = {}
    for words in (*answers, *right):
        for word in words:
            number.setdefault(word, len(number))

    def table(texts: Sequence[frozenset[str]]) -> csr_array:
        ends = np.cumsum([0, *map(len, texts)])
        places = np.array([number[word] for text in texts for word in sorted(text)], dtype=np.int64)
        ones = np.ones(places.size)
        return csr_array((ones, places, ends), shape=(len(texts), max(len(number), 1)))

    both: Array = (table(answers) @ table(right).T).toarray()
    sizes = [np.array([len(text) for text in texts], dtype=float) for texts in (answers, right)]
    either = sizes[0][:, None] + sizes[1] - both
    out: Array = np.divide(both, either, out=np.ones_like(both), where=either > 0)
    return out


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    either = len(one | other)
    return len(one & other) / either if either else 1.0


def _word_sets(texts: Sequence[str]) -> list[frozenset[str]]:
    """Return the set of the first 300 words of each text, or of the text itself without words."""
    return [_word_set(text) for text in texts]


def _word_set(text: str) -> frozenset[str]:
    key = normalised_text(text[: 20 * _MAX_WORDS])
    words = dict.fromkeys(_WORD_PATTERN.findall(key)) or {key: None}
    return frozenset(list(words)[:_MAX_WORDS])
