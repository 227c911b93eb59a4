"""How an arm does on parts of the scored cases: long ones, rare ones, one class, the hardest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record

Kind = Literal["length", "class", "group", "time", "rare words", "hardest"]
SMALL = 20  # cases; a slice of fewer is shown greyed: its interval says little


class Slice(Record):
    """One part of the scored cases: `score` of the arm, `rival` of its rival on the same cases.

    `delta` is arm minus rival, paired. Intervals are two-sided 95 %, each by itself.
    """

    kind: Kind
    name: str
    n: int
    score: Interval
    rival: Interval | None = None
    delta: Interval | None = None

    @property
    def small(self) -> bool:
        """Return whether the slice holds too few cases to say much."""
        return self.n < SMALL


class Slices(Record):
    """An arm beside its rival on every slice of the cases both answered.

    `said` are sentences on how to read the table; `missing` maps a kind of slice to why there is
    none of it.
    """

    arm: str
    rival: str | None
    n: int
    slices: tuple[Slice, ...] = ()
    said: tuple[str, ...] = ()
    missing: dict[str, str] = Field(default_factory=dict)
