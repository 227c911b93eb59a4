"""The learning curve of an arm that learns: its score over how many rows it learnt from."""

from __future__ import annotations

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record
from tuneworthy.core.task import Tool


class LearningPoint(Record):
    """The score after learning from `rows` rows, on `n` scored cases, over `repeats` draws.

    `rows` counts labelled rows, dev rows among them in the share that the whole fold has.
    """

    rows: int
    n: int
    repeats: int
    score: Interval


class Cleaning(Record):
    """What leaving out training rows with doubtful answers is worth to an arm.

    `dropped` of `rows` training rows a fold are denied by a copy or by their neighbours. `gain` is
    the paired gain on `n` scored cases (two-sided 95 %), None where nothing was left out; then
    `because` says why. Scored cases keep their own answers, so their noise hides some of the gain.
    """

    arm: str
    rows: float
    dropped: float
    n: int = 0
    gain: Interval | None = None
    because: str = ""


class LearningCurve(Record):
    """Scores over rows, and what more rows would be worth.

    `last_doubling` is the paired gain of the last doubling of rows (two-sided 95 %). `needed` is
    how many rows in all the arm needs to beat `rival`, the best arm that learns nothing, by the
    margin, `low` and `high` its 80 % interval; None where the curve does not say, then `because`
    says why. `cleaning` is what better labels are worth, None where it was not measured.
    """

    arm: str
    tool: Tool | None
    points: tuple[LearningPoint, ...] = ()
    last_doubling: Interval | None = None
    needed: float | None = None
    low: float | None = None
    high: float | None = None
    rival: str = ""
    cleaning: Cleaning | None = None
    because: str = ""
