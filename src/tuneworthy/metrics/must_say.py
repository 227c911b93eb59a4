"""Share of a row's `must_say` phrases in the answer; 0 if it has a `must_not_say` phrase.

A phrase counts as whole words; case, spacing and quotation marks are ignored. One phrase of
`must_not_say` makes the score 0. The rest of the text is not judged.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.metrics._words import contains_phrase, normalise
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted

TYPE = "text"
DEMANDS = True  # a row without `must_say` and `must_not_say` can't be scored


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return the share of `must_say` phrases that the answer has; 0 for a forbidden phrase."""
    if not case.must_say and not case.must_not_say:
        return Unscored(reason="the row has neither `must_say` nor `must_not_say`")
    if not answer.text.strip():
        return Score(value=0, why="the answer is empty")
    text = normalise(answer.text)
    if said := [phrase for phrase in case.must_not_say if contains_phrase(text, phrase)]:
        return Score(value=0, why=f"says what it must not: {_quoted_list(said)}")
    missing = [phrase for phrase in case.must_say if not contains_phrase(text, phrase)]
    if missing:
        met = len(case.must_say) - len(missing)
        why = f"{met} of {len(case.must_say)} demands met; not said: {_quoted_list(missing)}"
        return Score(value=met / len(case.must_say), why=why)
    return Score(value=1, why="all that is demanded is said, nothing forbidden")


def _quoted_list(phrases: list[str]) -> str:
    return "; ".join(f"“{quoted(phrase, 60)}”" for phrase in phrases[:5])
