"""Whether a judge may be believed: against itself, against humans, against tricks."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.known import Share
from tuneworthy.core.record import Record


class Judged(Record):
    """A model that grades, checked on the answers that humans graded.

    `graded` counts them. `swap` is the share on which both orders of the two answers gave one
    verdict, `kappa` the agreement with the humans (weighted by distance), `length` how far its
    grade leaves theirs for an answer twice as long, `fooled` how many more wrong answers pass with
    an order written behind them than with idle words there. `warning` names a judge of an arm's
    own family. `refused` says why it does not count, "" where it does. `missing`: field -> reason
    for every None.
    """

    model: str
    graded: int
    swap: Share | None = None
    kappa: float | None = None
    length: Interval | None = None
    fooled: Interval | None = None
    warning: str = ""
    refused: str = ""
    missing: dict[str, str] = Field(default_factory=dict)
