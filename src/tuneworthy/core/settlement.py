"""Clicks on the inputs where finalists differ, and what settling a study by them came to."""

from __future__ import annotations

from typing import Literal

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Query
from tuneworthy.core.record import Record

Choice = Literal["left", "right", "wrong", "equal", "skip", "typed"]
Ended = Literal["firm", "pool", "patience", "stopped", "elsewhere"]


class Click(Record):
    """What a person said of two answers to one input, shown without names and on shuffled sides.

    `left` and `right` are the two texts. `wrong`: both are; `equal`: both are right; `typed`: the
    right answer was written (`gold`), `skip`: can't say. `again`: the pair had been shown before,
    sides swapped; such a click is compared with the first and changes no bound.
    """

    input: str
    left: str
    right: str
    choice: Choice
    gold: str | None = None
    again: bool = False


class Settled(Record):
    """How a study was settled.

    `look` is the how-manieth look at the scored cases it was, `inputs` the new ones drawn, of which
    `differing` had answers that differ. `clicks` counts all, with `skipped` (counted against both
    sides) and the `again` shown twice, of which `agreed`. `points` are of the task's score, or
    shares of preference where answers are free text. `left` is what was left on the table before
    and after, in those points. `ended` says why: nothing that clicks can close is open (firm), no
    input is left (pool), the clicks allowed are spent (patience), the person stopped, or what is
    open is not between two answers (elsewhere).
    """

    look: int
    inputs: int
    differing: int
    clicks: int
    skipped: int = 0
    again: int = 0
    agreed: int = 0
    points: Literal["score", "preference"] = "score"
    left: tuple[float | None, float | None] = (None, None)
    ended: Ended = "stopped"


class Drawn(Record):
    """A new input, in the order of drawing, and the answers to it that were looked at, by arm."""

    query: Query
    answers: dict[str, Answer]


class Course(Record):
    """All that settling took, so that it can be done again without a model or a person.

    `looks` and `pool` are those of the study before it was settled, `new` counts the inputs there
    were to draw, `mute` names the arms that could not answer them.
    """

    looks: int
    pool: int
    new: int
    mute: tuple[str, ...] = ()
    drawn: tuple[Drawn, ...] = ()
    clicks: tuple[Click, ...] = ()
