"""The record of a judge model's check: order swaps, human grades, injected instructions."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.known import Proportion
from tuneworthy.core.record import Record


class JudgeCheck(Record):
    """A judge model, checked on the answers that humans graded.

    `graded` counts them. `swap` is the share on which both orders of the two answers gave the same
    verdict, `kappa` the agreement with the humans (weighted by distance), `length` how much its
    grade departs from theirs for an answer twice as long, `fooled` how many more wrong answers pass
    with an injected instruction at the end than with neutral words there. `warning` names a judge
    of an arm's own model family. `refused` says why the judge does not count, "" if it does.
    `missing`: field -> reason for every None.
    """

    model: str
    graded: int
    swap: Proportion | None = None
    kappa: float | None = None
    length: Interval | None = None
    fooled: Interval | None = None
    warning: str = ""
    refused: str = ""
    missing: dict[str, str] = Field(default_factory=dict)
