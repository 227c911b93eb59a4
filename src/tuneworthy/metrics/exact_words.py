"""1 if the answer has the words of the right one, whatever case, punctuation, articles; else 0.

The tolerant form of `exact`; SQuAD's exact match. Any accepted answer is right. The decimal point
and signs of a number count: 2.5 is not 25, -3 is not 3.
"""

from __future__ import annotations

import re
from typing import Any

from tuneworthy.metrics._words import normalise
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted

TYPE = "text"
BINARY = True
_ARTICLES = {"a", "an", "the"}
_WORD = re.compile(r"(?<![\w.])[-−]?\d+(?:\.\d+)?(?![\w])|\w+")
_SPACES = re.compile(r"\s+")


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return 1 if the words of the answer are those of the right answer or an accepted one."""
    if not answer.text.strip():
        return Score(value=0, why="the answer is empty")
    said = _words(answer.text)
    for right in (case.output, *case.accepted):
        if said == _words(right):
            return Score(value=1, why="the words of a right answer", extracted=" ".join(said))
    why = f"“{quoted(answer.text.strip(), 80)}” is not “{quoted(case.output.strip(), 80)}”"
    return Score(value=0, why=why, extracted=" ".join(said))


def _words(text: str) -> list[str]:
    """Return the words of a text without articles; a text of signs alone, split at spaces."""
    found = _WORD.findall(normalise(text))
    words = [word.replace("−", "-") for word in found if word not in _ARTICLES]
    return words or found or _SPACES.sub(" ", text.strip()).split(" ")
