"""1 if the last number of the answer is exactly the right one; else 0.

If the text has `####`, only what follows counts. 1,000 and 1 000 are 1000 and 2.50 is 2.5; nothing
is rounded. A right answer with several numbers and no `####` does not say which one is meant, so it
is not scored. If only one of the two has a percent sign, 50% equals 50 and 0.5.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.metrics._numbers import MARK, equal, numbers
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case

TYPE = "number"
BINARY = True


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return 1 if the answer's last number equals that of the right or an accepted answer."""
    golds = [(text, numbers(text)) for text in (case.output, *case.accepted)]
    rights = [found[-1] for text, found in golds if found and (len(found) == 1 or MARK in text)]
    if not rights:
        many = any(found for _, found in golds)
        held = f"several numbers and no `{MARK}` before the right one" if many else "no number"
        return Unscored(reason=f"the right answer of this case holds {held}")
    if not answer.text.strip():
        return Score(value=0, why="the answer is empty")
    said = numbers(answer.text)
    if not said:
        return Score(value=0, why="no number in the answer")
    last = said[-1]
    several = f" (the last of {len(said)} numbers)" if len(said) > 1 else ""
    if any(equal(last, right) for right in rights):
        return Score(value=1, why=f"the right number{several}", extracted=last.text)
    why = f"{last.text} instead of {rights[0].text}{several}"
    return Score(value=0, why=why[:300], extracted=last.text)
