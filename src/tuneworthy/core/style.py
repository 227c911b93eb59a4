"""The record of how well a classifier tells an arm's answers from gold answers by style."""

from __future__ import annotations

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record


class Style(Record):
    """How well a classifier tells one arm's answers from the gold ones to the same inputs.

    `auc` is that of a cross-fitted classifier: .5 cannot tell them apart, 1 always can. `score` is
    the mean of min(1, 2 (1 - P)), P the probability of an arm's answer; `n` counts the answers.
    `control` is the same AUC of gold answers against gold answers (a random half of the rows each;
    mean, minimum and maximum of five draws): values inside it are chance. None with `because` if
    there are too few answers.
    """

    arm: str
    n: int
    auc: float | None = None
    score: float | None = None
    control: Interval | None = None
    because: str = ""
