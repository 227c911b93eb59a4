"""1 if the last number of the answer is exactly the right one; else 0.

If the text has `####`, only what follows counts. 1,000 is 1000 and 2.50 is 2.5; nothing is
rounded. If only one of the two has a percent sign, 50% equals 50 and 0.5.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.case import Case
from tuneworthy.metrics._numbers import equal, numbers

TYPE = "number"
BINARY = True


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return 1 if the answer's last number equals that of the right or an accepted answer."""
    rights = [found[-1] for text in (case.output, *case.accepted) if (found := numbers(text))]
    if not rights:
        return Unscored(reason="the right answer of this case holds no number")
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
