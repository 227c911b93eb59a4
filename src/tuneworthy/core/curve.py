"""The learning curve of an arm: its score against the number of training rows."""

from __future__ import annotations

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record
from tuneworthy.core.task import Tool


class LearningPoint(Record):
    """The score after training on `rows` rows, on `n` scored cases, over `repeats` draws.

    `rows` counts labelled rows, including dev rows in the same proportion as in the whole fold.
    """

    rows: int
    n: int
    repeats: int
    score: Interval


class LabelCleaningGain(Record):
    """The gain of an arm from leaving out training rows with doubtful answers.

    `dropped` of `rows` training rows per fold are contradicted by a copy or by their neighbours.
    `gain` is the paired gain on `n` scored cases (two-sided 95 %), None if nothing was left out;
    then `because` says why. Scored cases keep their own answers, so their noise hides some of the
    gain.
    """

    arm: str
    rows: float
    dropped: float
    n: int = 0
    gain: Interval | None = None
    because: str = ""


class LearningCurve(Record):
    """Scores against training rows, and the value of more rows.

    `last_doubling` is the paired gain of the last doubling of rows (two-sided 95 %). `needed` is
    the total number of rows the arm needs to beat `rival`, the best arm that learns nothing, by the
    margin, `low` and `high` its 80 % interval; None if the curve does not tell, then `because` says
    why. `cleaning` is the value of better labels, None if it was not measured.
    """

    arm: str
    tool: Tool | None
    points: tuple[LearningPoint, ...] = ()
    last_doubling: Interval | None = None
    needed: float | None = None
    low: float | None = None
    high: float | None = None
    rival: str = ""
    cleaning: LabelCleaningGain | None = None
    because: str = ""
