"""Records of pairwise votes on finalists' answers and of a study that was settled by them."""

from __future__ import annotations

from math import sqrt
from typing import Literal

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Query
from tuneworthy.records.record import Record

Choice = Literal["left", "right", "wrong", "equal", "skip", "typed"]
EndReason = Literal["firm", "pool", "patience", "stopped", "elsewhere"]
PRIOR_VOTES, PRIOR_SHARE_APART = 5.0, 0.1
"""What is assumed of a judge before pairs were shown twice: worth so many pairs, of which this
share got two answers, as with 5.3 % of wrong votes."""


class PairwiseVote(Record):
    """A person's vote on two answers to one input, shown without names and on shuffled sides.

    `left` and `right` are the two texts. `wrong`: both are wrong; `equal`: both are right; `typed`:
    the person wrote the right answer (`gold`), `skip`: no decision. `again`: the pair was shown
    before, sides swapped; such a vote is compared with the first and changes no bound.
    """

    input: str
    left: str
    right: str
    choice: Choice
    gold: str | None = None
    again: bool = False


class Settlement(Record):
    """The outcome of settling a study.

    `look` is the ordinal of this look at the scored cases (1 = first), `inputs` the number of new
    inputs drawn, of which `differing` had answers that differ. `clicks` counts all votes, with
    `skipped` (counted against both sides) and the `again` votes on pairs shown twice, of which
    `agreed`. `points` are of the task's score, or shares of preference where answers are free text.
    `left` is the left-on-table value before and after, in those points. `ended` says why: no open
    question that votes can decide (firm), no input left (pool), the allowed votes are spent
    (patience), the person stopped, or the open question is not between two answers (elsewhere).
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
    ended: EndReason = "stopped"


class DrawnInput(Record):
    """A new input, in drawing order, with the answers that were compared, by arm."""

    query: Query
    answers: dict[str, Answer]


class SettlementLog(Record):
    """The log of settling a study, enough to repeat it without a model or a person.

    `looks` and `pool` are those of the study before it was settled, `new` counts the inputs
    available to draw, `mute` names the arms that could not answer them.
    """

    looks: int
    pool: int
    new: int
    mute: tuple[str, ...] = ()
    drawn: tuple[DrawnInput, ...] = ()
    clicks: tuple[PairwiseVote, ...] = ()


def share_of_wrong_votes(agreed: int, again: int) -> float:
    """Return the estimated share of votes that are wrong, from pairs that were shown twice.

    `agreed` of the `again` pairs got the same vote twice. If votes err independently in a share e,
    two of them differ in 2 e (1 - e). At most .4: below that a vote says something.
    """
    apart = (again - agreed + PRIOR_VOTES * PRIOR_SHARE_APART) / (again + PRIOR_VOTES)
    return min(0.4, (1 - sqrt(max(0.0, 1 - 2 * apart))) / 2)
