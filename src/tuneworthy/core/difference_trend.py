"""Whether the paired difference of two arms moves with time."""

from __future__ import annotations

from tuneworthy.core.record import Record


class Side(Record):
    """The mean scores of the two arms on the `n` rows of one side of a break in time."""

    n: int
    arm: float
    versus: float

    @property
    def lead(self) -> float:
        """Return by how much `arm` is ahead of `versus`."""
        return self.arm - self.versus


class Trend(Record):
    """The largest break of `arm` minus `versus` over time, on the rows that both answered.

    `p` is the share of random orders of the rows (of whole groups) that show one as large, None
    where it was not tested; `because` says why. `from_time` is the earliest time after the break.
    """

    arm: str
    versus: str
    n: int
    p: float | None = None
    before: Side | None = None
    after: Side | None = None
    from_time: str | None = None
    because: str = ""

    def seen_from(self, arm: str) -> Trend:
        """Return the same trend with `arm` as the first of the two."""
        if arm == self.arm:
            return self
        turned = {side: _turned(getattr(self, side)) for side in ("before", "after")}
        return self.model_copy(update={"arm": self.versus, "versus": self.arm, **turned})


def _turned(side: Side | None) -> Side | None:
    return side and Side(n=side.n, arm=side.versus, versus=side.arm)
