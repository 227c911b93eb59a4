"""The learning curve of an arm that learns: its score over how many rows it learnt from."""

from __future__ import annotations

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record
from tuneworthy.core.task import Tool


class LearningPoint(Record):
    """The score after learning from `rows` rows, on `n` scored cases, over `repeats` draws."""

    rows: int
    n: int
    repeats: int
    score: Interval


class LearningCurve(Record):
    """Scores over rows, and what more rows would be worth.

    `last_doubling` is the paired gain of the last doubling of rows (two-sided 95 %). `needed` is
    how many rows in all the arm needs to beat the best arm that learns nothing by the margin,
    `low` and `high` its 80 % interval; None where the curve does not say, then `because` says why.
    """

    arm: str
    tool: Tool | None
    points: tuple[LearningPoint, ...] = ()
    last_doubling: Interval | None = None
    needed: float | None = None
    low: float | None = None
    high: float | None = None
    because: str = ""
