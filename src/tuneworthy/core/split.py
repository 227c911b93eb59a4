"""Which rows were learnt from and which were scored, as ids: stored with the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import fmean

from pydantic import Field

from tuneworthy.core.record import Record


class Part(Record):
    """One part: ids to learn from, ids to choose on, ids to be scored; no id stands twice."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]

    def learnt(self, chooses: bool) -> Part:
        """Return the part as an arm learns from it: one that chooses nothing needs no dev rows."""
        if chooses or not self.dev:
            return self
        both = tuple(sorted((*self.train, *self.dev)))
        return self.model_copy(update={"train": both, "dev": ()})


class Split(Record):
    """The parts of a study. `k` counts them (1: one split); `by_time`: each scored after learning.

    A last part without rows to learn from is not counted: its rows stand before the first that can
    be scored after learning, and recorded answers alone are scored on it.
    `copies` are ids of exact copies, learnt from once only (the other copy is in `train`).
    `groups` maps a scored id to the smallest id of its group, where a group has several.
    """

    k: int
    parts: tuple[Part, ...]
    by_time: bool = False
    copies: tuple[str, ...] = ()
    groups: dict[str, str] = Field(default_factory=dict)

    @property
    def clustered(self) -> bool:
        """Return whether groups matter: they are worth less than 9 in 10 independent rows."""
        sizes = Counter(self.groups.get(one, one) for one in self.scored)
        rows = sum(sizes.values())
        return rows > 0 and rows**2 / sum(size**2 for size in sizes.values()) < 0.9 * rows

    def width_factor(self, folds: Iterable[int] | None = None) -> float:
        """Return what widens a bound on fitted arms because their folds share training rows.

        1 for one split. `folds` are the parts that the compared cases came from (None: all); rows
        to learn from and to choose on count together (see stats.bounds.width_factor).
        """
        from tuneworthy.stats.bounds import width_factor  # slow to import, rarely needed

        used = self.parts if folds is None else [self.parts[at] for at in sorted(set(folds))]
        parts = [part for part in used if part.train]
        if len(self.learning) < 2 or not parts:
            return 1.0
        test = fmean(len(part.test) for part in parts)
        return width_factor(len(parts), test, fmean(len(p.train) + len(p.dev) for p in parts))

    @property
    def scored(self) -> tuple[str, ...]:
        """Return the ids that are scored, part by part."""
        return tuple(one for part in self.parts for one in part.test)

    @property
    def learning(self) -> tuple[Part, ...]:
        """Return the parts that arms learn and answer in: all but those without rows to learn."""
        return tuple(part for part in self.parts if part.train)

    @property
    def early(self) -> frozenset[str]:
        """Return the ids that recorded answers alone are scored on."""
        return frozenset(one for part in self.parts if not part.train for one in part.test)
