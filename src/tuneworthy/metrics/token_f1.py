"""F1 of the words in the answer and in the right answer, as SQuAD counts them.

Lower case, without punctuation and the articles a, an, the; the best of all accepted answers
counts. Source of the formula: the SQuAD 2.0 evaluation (Rajpurkar et al., 2018). Unlike there,
signs and decimal points of numbers stay (-3.5 is not 35), a text of articles or punctuation alone
keeps them (A is not the), and in scripts without spaces each letter is a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import islice
from typing import Any

from tuneworthy.metrics._words import space_out
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted

TYPE = "text"
# Not a sign before a number, and not a decimal point or comma; 1,000 is 1000.
_SIGN = re.compile(r"(?<![\w.)\]%])[-−–](?=[$€£¥]?\.?\d)")
_POINT = r"(?<=\d)\.(?=\d)|(?<![\w.])\.(?=\d)|(?<=\d),(?=\d{1,2}(?!\d))"
_PUNCTUATION = re.compile(rf"(?!{_SIGN.pattern}|{_POINT})[!-/:-@\[-`{{-~]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation and articles.

    With its articles if it has no other words, with punctuation if it has no words at all.
    """
    text = _SIGN.sub("-", space_out(unicodedata.normalize("NFC", text).lower()))
    bare = _PUNCTUATION.sub("", text)
    return _ARTICLES.sub(" ", bare).split() or bare.split() or text.split()


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
