"""How far the measurement can be trusted: rows, metric, leakage, repeatability, judge."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.known import Proportion
from tuneworthy.core.record import Record


class Soundness(Record):
    """Checks of rows and metric, made before any arm's score is trusted.

    `mde` is the smallest paired difference that these rows can show (80 % power, two-sided .05), in
    score points, on `n` cases at `differ`, the share of them on which the two best arms differ (or
    would, a margin apart); None before two are measured, then .2 is assumed. `ladder` is the
    metric's AUC of the gold answers against corrupted ones, by kind of corruption; `gold` the mean
    score of the gold answers themselves, `unscored` the share of them without a score. `flips` is
    how often a second run changes whether a case passes, `leak` the largest change of a score when
    near copies are left out, `contradictions` the share of rows whose answer another row
    contradicts, `one_form` the share of answers in the most frequent form, `noise` the share of
    rows that their neighbours contradict. `judge` is why a judge is refused, "" if there is none or
    it is sound. `missing`: field -> reason for every None.
    """

    n: int
    mde: float | None = None
    differ: float | None = None
    ladder: dict[str, float] = Field(default_factory=dict)
    gold: float | None = None
    unscored: Proportion | None = None
    flips: Interval | None = None
    leak: float | None = None
    contradictions: Proportion | None = None
    one_form: Proportion | None = None
    noise: Proportion | None = None
    fewest_of_a_class: int | None = None
    judge: str = ""
    missing: dict[str, str] = Field(default_factory=dict)
