"""The score of an arm on parts of the scored cases: long, rare, one class, the hardest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record

SliceKind = Literal["length", "class", "group", "time", "rare words", "hardest"]
SMALL_SLICE = 20  # cases; the report greys out smaller slices, whose intervals say little


class Slice(Record):
    """One part of the scored cases: `score` of the arm, `rival` of its rival on the same cases.

    `delta` is arm minus rival, paired. Each interval is two-sided 95 %, without correction for the
    others.
    """

    kind: SliceKind
    name: str
    n: int
    score: Interval
    rival: Interval | None = None
    delta: Interval | None = None

    @property
    def small(self) -> bool:
        """Return whether the slice has fewer than SMALL_SLICE cases."""
        return self.n < SMALL_SLICE


class Slices(Record):
    """An arm and its rival on every slice of the cases that both answered.

    `said` are sentences on how to read the table; `missing` maps a kind of slice to why it is
    absent.
    """

    arm: str
    rival: str | None
    n: int
    slices: tuple[Slice, ...] = ()
    said: tuple[str, ...] = ()
    missing: dict[str, str] = Field(default_factory=dict)
