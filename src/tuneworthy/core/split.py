"""Which rows were learnt from and which were scored, as ids: stored with the results."""

from __future__ import annotations

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

    `copies` are ids of exact copies, learnt from once only (the other copy is in `train`).
    `groups` maps a scored id to the smallest id of its group, where a group has several.
    """

    k: int
    parts: tuple[Part, ...]
    by_time: bool = False
    copies: tuple[str, ...] = ()
    groups: dict[str, str] = Field(default_factory=dict)

    @property
    def scored(self) -> tuple[str, ...]:
        """Return the ids that are scored, part by part."""
        return tuple(one for part in self.parts for one in part.test)
