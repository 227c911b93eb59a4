"""Records of the folds, and of how a paired difference depends on time and on the file's order."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from tuneworthy.records.record import Record


class Part(Record):
    """One fold: ids of its training rows, dev rows and scored rows; no id occurs twice."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]

    def learnt(self, chooses: bool) -> Part:
        """Return the fold as one arm learns it: unless it `chooses`, it trains on the dev rows."""
        if chooses or not self.dev:
            return self
        both = tuple(sorted((*self.train, *self.dev)))
        return self.model_copy(update={"train": both, "dev": ()})


class Split(Record):
    """The `k` folds of a study (1: one split); `by_time`: scored rows are later than trained ones.

    A last part without training rows is not counted: its rows come before the first that can be
    scored after training, and only recorded answers are scored on it. `copies` are ids of exact
    copies that are trained on once only (the other copy is in `train`). `groups` maps a scored id
    to the smallest id of its group, for groups of several. `only_copies`: every group is one input
    and its near copies; the task's rows name no group.
    """

    k: int
    parts: tuple[Part, ...]
    by_time: bool = False
    copies: tuple[str, ...] = ()
    groups: dict[str, str] = Field(default_factory=dict)
    only_copies: bool = False

    @property
    def worth(self) -> float:
        """Return how many independent rows a scored row is worth if groups are alike (Kish).

        At most 1; 1 without scored rows.
        """
        sizes = Counter(self.groups.get(case, case) for case in self.scored)
        return sizes.total() / sum(size**2 for size in sizes.values()) if sizes else 1.0

    @property
    def clustered(self) -> bool:
        """Return whether groups make the scored rows worth under .9 of as many independent ones."""
        return self.worth < 0.9

    @property
    def scored(self) -> tuple[str, ...]:
        """Return the ids of all scored rows, fold by fold."""
        return tuple(case for part in self.parts for case in part.test)

    @property
    def learning(self) -> tuple[Part, ...]:
        """Return the folds with training rows, in which arms learn and answer."""
        return tuple(part for part in self.parts if part.train)

    @property
    def early(self) -> frozenset[str]:
        """Return the ids of the rows that only recorded answers are scored on: the earliest."""
        return frozenset(case for part in self.parts if not part.train for case in part.test)


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
