"""1 if a classifier can't tell the answers' style from the right answers', 0 if it is sure.

All answers of one arm are compared with the right answers to the same inputs. A logistic regression
on character 1-4-grams is fitted on the other cases (cross-fitted: five folds by case) and gives
P(from the arm) for each answer, which scores min(1, 2 (1 - P)). It reads one arm at a time, so no
score depends on other arms; it needs at least ten answers, and the same answers get the same scores
in any order. One answer alone scores its cosine with the right one in those n-grams.

Wrong content can be told apart too, and the right style may be about anything, so this metric is
never used alone (`style_match+must_say`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from tuneworthy.metrics._style import LEAST_PAIRS, cosine, separate
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case

TYPE = "text"
ALONE = False  # never the only metric of a task


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return the score of one answer alone: its n-grams' cosine with the nearest right answer."""
    if not answer.text.strip():
        return Score(value=0, why="the answer is empty")
    near = max(cosine(answer.text, right) for right in (case.output, *case.accepted))
    return Score(value=near, why="likeness of its characters with the right answer, alone")


def score_all(
    cases: Sequence[Case],
    answers: Sequence[Answer],
    options: dict[str, Any],  # noqa: ARG001 - as above
) -> list[Score | Unscored]:
    """Return one score per case of an arm's answers; fewer than ten are not scored."""
    if len(answers) < LEAST_PAIRS:
        why = f"{len(answers)} answers: a style is told from at least {LEAST_PAIRS}"
        return [Unscored(reason=why) for _ in answers]
    order = sorted(range(len(cases)), key=lambda i: _id_hash(cases[i].id))  # fixes the folds
    apart = separate([answers[i].text for i in order], [cases[i].output for i in order])
    share_of = dict(zip(order, apart.answers, strict=True))
    return [_style_score(answers[i].text, share_of[i]) for i in range(len(answers))]


def _style_score(text: str, share: float) -> Score:
    if not text.strip():
        return Score(value=0, why="the answer is empty")
    why = f"told from the right answers with probability {share:.2f}"
    return Score(value=min(1.0, 2 * (1 - share)), why=why)


def _id_hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
