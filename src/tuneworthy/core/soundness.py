"""How far the measurement itself can be trusted: rows, metric, leak, asking again, judge."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.known import Share
from tuneworthy.core.record import Record


class Soundness(Record):
    """What was found about rows and metric before any arm is believed.

    `mde` is the smallest paired difference that these rows can show (80 % power, two-sided .05),
    in score points, on `n` cases at `differ`, the share of them on which the two best arms differ
    (or would, a margin apart); None before two are measured, then .2 is taken. `ladder` is the
    metric's AUC of the right answers against worse ones, by how they were made worse; `gold` the
    mean score of the right answers themselves, `unscored` the share of them that the metric gives
    no score. `flips` is how often asking again changes whether
    a case passes, `leak` the most that a score moves when near-copies are left out,
    `contradictions` the share of rows whose answer another row denies, `one_form` the share of
    answers that have the most frequent form, `noise` the share of rows that their neighbours deny.
    `judge` is why a judge is refused, "" where there is none or it is sound. `missing`: field ->
    reason for every None.
    """

    n: int
    mde: float | None = None
    differ: float | None = None
    ladder: dict[str, float] = Field(default_factory=dict)
    gold: float | None = None
    unscored: Share | None = None
    flips: Interval | None = None
    leak: float | None = None
    contradictions: Share | None = None
    one_form: Share | None = None
    noise: Share | None = None
    fewest_of_a_class: int | None = None
    judge: str = ""
    missing: dict[str, str] = Field(default_factory=dict)
