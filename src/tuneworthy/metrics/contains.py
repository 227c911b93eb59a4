"""1 if the text contains the right answer or an accepted one, as whole words in any case; else 0.

The rest of the text is not judged: an answer that names two places holds either of them. Numbers
are compared as written, without commas (1,000 is 1000).
"""

from __future__ import annotations

from typing import Any

from tuneworthy.metrics._words import contains_phrase, normalise
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted

TYPE = "text"
BINARY = True


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return 1 if the answer contains the right answer or an accepted one, else 0."""
    if not answer.text.strip():
        return Score(value=0, why="the answer is empty")
    text = normalise(answer.text)
    for right in (case.output, *case.accepted):
        if contains_phrase(text, right):
            why = f"contains “{quoted(right.strip(), 80)}”"
            return Score(value=1, why=why, extracted=right.strip())
    others = f" nor any of {len(case.accepted)} more" if case.accepted else ""
    return Score(value=0, why=f"“{quoted(case.output.strip(), 80)}”{others} is not in the answer")
