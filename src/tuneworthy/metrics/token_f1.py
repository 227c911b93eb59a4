"""F1 of the words in the answer and in the right answer, as SQuAD counts them.

Lower case, without punctuation and the articles a, an, the; the best of all accepted answers
counts. Source of the formula: the SQuAD 2.0 evaluation (Rajpurkar et al., 2018).
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from itertools import islice
from typing import Any

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.case import Case
from tuneworthy.core.escape import quoted

TYPE = "text"
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation and articles, as in SQuAD."""
    text = unicodedata.normalize("NFC", text).lower()
    return _ARTICLES.sub(" ", text.translate(_PUNCTUATION)).split()


def f1(right: list[str], said: list[str]) -> float:
    """Return the F1 of two bags of words; 1 for two empty bags."""
    if not right or not said:
        return float(right == said)
    common = sum((Counter(right) & Counter(said)).values())
    return 2 * common / (len(right) + len(said))


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return the best word F1 over the right answer and the accepted ones."""
    if not answer.text.strip():
        return Score(value=0, why="the answer is empty")
    said = words(answer.text)
    rights = [words(right) for right in (case.output, *case.accepted)]
    value, right = max(((f1(right, said), right) for right in rights), key=lambda pair: pair[0])
    return Score(value=value, why=_word_differences(right, said), extracted=" ".join(said))


def _word_differences(right: list[str], said: list[str]) -> str:
    missing, extra = Counter(right) - Counter(said), Counter(said) - Counter(right)
    parts = [
        f"{what}: {quoted(' '.join(islice(bag.elements(), 121)), 120)}"
        for what, bag in (("missing words", missing), ("extra words", extra))
        if bag
    ]
    return "; ".join(parts) or "the same words"
