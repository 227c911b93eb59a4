"""How the paired difference of two arms depends on time, and on the order of the file."""

from __future__ import annotations

from tuneworthy.core.record import Record


class SegmentMeans(Record):
    """The mean scores of the two arms on the `n` rows before, or after, a break in time."""

    n: int
    arm: float
    versus: float

    @property
    def lead(self) -> float:
        """Return the mean score of `arm` minus that of `versus`."""
        return self.arm - self.versus


class Trend(Record):
    """The largest break over time of `arm` minus `versus`, on the rows that both answered.

    `p` is the share of random permutations of the rows (of whole groups) with a break at least as
    large, None if it was not tested; `because` says why. `from_time` is the earliest time after the
    break.
    """

    arm: str
    versus: str
    n: int
    p: float | None = None
    before: SegmentMeans | None = None
    after: SegmentMeans | None = None
    from_time: str | None = None
    because: str = ""

    def seen_from(self, arm: str) -> Trend:
        """Return the same trend as the difference of `arm` to the other one of the two arms."""
        if arm == self.arm:
            return self
        turned = {side: _with_sides_swapped(getattr(self, side)) for side in ("before", "after")}
        return self.model_copy(update={"arm": self.versus, "versus": self.arm, **turned})


TREND_ALPHA = 0.01  # family-wise error over all tests of one verdict: false warnings are ignored


class Neighbours(Record):
    """Whether rows near each other in the file have a like difference of `arm` and `versus`.

    `p` is the share of random orders of the rows with those at least as alike, None if it was not
    tested. `column` is a field of the rows that may name their common source, "" if none does.
    """

    arm: str
    versus: str
    n: int
    p: float | None = None
    column: str = ""


def _with_sides_swapped(side: SegmentMeans | None) -> SegmentMeans | None:
    return side and SegmentMeans(n=side.n, arm=side.versus, versus=side.arm)
