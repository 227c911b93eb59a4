"""Longest common word sequence with the right answer (ROUGE-L, F-measure).

Words are runs of letters and digits in lower case, without stemming. On ASCII text the score is
that of the rouge-score package, which drops all other letters: there a Chinese answer is its
figures alone. In scripts without spaces each letter is a word. The best of all accepted answers
counts.
"""

from __future__ import annotations

from typing import Any

from rapidfuzz.distance import LCSseq

from tuneworthy.metrics._words import script_words
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case

TYPE = "text"
MOST_PAIRS_FOR_RAPIDFUZZ = 4_000_000  # word pairs; above, bit operations on big integers are faster


def lcs_length(right: list[str], said: list[str]) -> int:
    """Return the length of the longest common subsequence of two word lists."""
    if len(right) * len(said) > MOST_PAIRS_FOR_RAPIDFUZZ:
        return _lcs_length_by_bits(right, said)
    number = {word: at for at, word in enumerate(dict.fromkeys((*right, *said)))}
    # small ints, not words: rapidfuzz compares by hash
    return int(LCSseq.similarity([number[w] for w in right], [number[w] for w in said]))


def _lcs_length_by_bits(right: list[str], said: list[str]) -> int:
    """Return `lcs_length` computed with one bit per word, which is quicker for long lists.

    After Hyyrö, "Bit-parallel LCS-length computation revisited" (2004).
    """
    places: dict[str, int] = {}
    for at, word in enumerate(right):
        places[word] = places.get(word, 0) | 1 << at
    whole = left = (1 << len(right)) - 1
    for word in said:
        if word in places:
            met = left & places[word]
            left = ((left + met) | (left ^ met)) & whole
    return len(right) - left.bit_count()


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return the best ROUGE-L F-measure over the right answer and the accepted ones."""
    if not answer.text.strip():
        return Score(value=0, why="the answer is empty")
    rights = [found for text in (case.output, *case.accepted) if (found := script_words(text))]
    if not rights:
        return Unscored(reason="the right answer has no letters or digits, all ROUGE-L counts")
    said = script_words(answer.text)
    value, common, right = max(_f_measure(right, said) for right in rights)
    why = f"{common} words in the same order, of {len(said)} said and {len(right)} right ones"
    return Score(value=value, why=why, extracted=" ".join(said))


def _f_measure(right: list[str], said: list[str]) -> tuple[float, int, list[str]]:
    common = lcs_length(right, said)
    return 2 * common / (len(right) + len(said)), common, right
