"""The record of how fast a task's facts change and which arms give outdated answers."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.known import Proportion
from tuneworthy.core.record import Record


class Freshness(Record):
    """The rate of change of facts, and its effect on answers.

    `changed` is the share of facts that changed within `over_days` days, declared (then its
    interval is a point) or counted in dated passages. `days` is how long a frozen model keeps its
    outdated answers at or below `stale_ok`: -ln(1 - stale_ok) / rate, rate = -ln(1 - changed) /
    over_days. `faithful` is, by arm, the share of changed facts answered as the passage says;
    `stale` the share still answered as before. `unsupported` are cases whose gold answer is in no
    current passage. `because` says why nothing is known.
    """

    changed: Proportion | None = None
    declared: bool = False
    over_days: float | None = None
    stale_ok: float = 0.05
    days: Interval | None = None
    faithful: dict[str, Proportion] = Field(default_factory=dict)
    stale: dict[str, Proportion] = Field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    because: str = ""
