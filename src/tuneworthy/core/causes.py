"""The matrix read across: what was tried on the cases that the base fails, and what it showed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, get_args

from pydantic import Field

from tuneworthy.core.doubt import Doubt
from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record

Remedy = Literal[
    "metric", "format", "convention", "knowledge", "retrieval", "latent", "capability", "learnable"
]
"""What an intervention repairs, the cheapest first."""

Cause = Literal[Remedy, "reading", "label", "hard", "few", "chance", "untried"]
"""The class of a failed case. `chance`: a remedy rescues it, and so does its placebo. `untried`: a
remedy that may rescue it was not tried on it. Neither is a cause."""
NO_CAUSES = frozenset({"few", "chance", "untried"})
"""Classes that say nothing of what is wrong with a case."""
REMEDIES: tuple[Remedy, ...] = get_args(Remedy)
IN_PASSAGES: frozenset[str] = frozenset({"knowledge", "retrieval", "reading"})
"""Causes in which the answer stands in a passage: no training without passages repairs them."""


class Base(Record):
    """What is read across: the cases that the base fails and passes, all of them, by id.

    `rerun` is how the base did when asked once more (a sampled deployment); empty where its
    answers are greedy or logged, so that asking again changes nothing. `groups` maps case to
    group where cases belong together. `conflicts` are failed cases whose label contradicts others
    (see matrix/labels). `literal` are failed cases whose gold answer stands word for word in their
    passage, None where no case has one.
    """

    arm: str
    fails: tuple[str, ...]
    passes: tuple[str, ...]
    rerun: dict[str, bool] = Field(default_factory=dict)
    groups: dict[str, str] = Field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    literal: tuple[str, ...] | None = None
    margin: float = 0.05


class Intervention(Record):
    """One remedy beside its placebo, on the failed cases and on all or a sample of the passed ones.

    `passed` says of each case asked whether it passes now. `placebo_passed` the same with the
    active ingredient taken out, as the share of the placebo's draws that pass (0 or 1 where there
    is one draw); None: this remedy has no placebo, then `because` says why. `alone` is the same for
    the prompt that the remedy stands on, by itself: it must do better than either. A case that was
    not asked is in none. `asks` is False where no model was asked: the same answers, scored again.
    `unproved`: it has a placebo that was not asked although the remedy may act, so it can't be
    shown to.
    """

    name: str
    remedy: Remedy
    passed: dict[str, bool]
    placebo: str | None = None
    placebo_passed: dict[str, float] | None = None
    alone: dict[str, float] | None = None
    because: str = ""
    asks: bool = True
    unproved: bool = False


class Effect(Record):
    """What one intervention did, in cases (net, gain) and in shares of the failures (contrast).

    With FAIL and PASS the cases that the base fails and passes:
    `net` is passes beyond the placebo's, `gain` beyond the base asked again, both scaled to all
    cases; `contrast` is the share of FAIL rescued beyond the placebo's share. Two-sided 95 %.
    A remedy that stands on a prompt must beat that prompt alone as well: `net`, `contrast` and
    `placebo_rescue` are then beside the one of the two that leaves it less.
    `rescued` are the failed cases that pass while the placebo fails them. `corrected` is contrast
    / (1 - placebo's share), None where that share is above .95. `acts`: all three lower ends are
    above 0; one that could not be measured is None, takes no part and is named in `because`.
    `n_fail` and `n_pass` count the cases asked.
    """

    name: str
    remedy: Remedy
    placebo: str | None
    n_fail: int
    n_pass: int
    rescue: float | None
    placebo_rescue: float | None
    harm: float | None
    net: Interval | None
    gain: Interval | None
    contrast: Interval | None
    corrected: float | None
    acts: bool
    rescued: tuple[str, ...] = ()
    because: str = ""


class Wrong(Record):
    """A class of failures with its share of all `n` of them: a cause, `chance` or `untried`.

    Shares of one diagnosis add up to 1, as every failure is in one class; `few` comes first where
    failures are too few to say, holds of them all and counts those that were read. `low` and `high`
    are the share on other rows (95 %), where every untried case may be of this cause or not. The
    share of `untried` says what this study did and has no interval.
    """

    cause: str
    share: float
    low: float
    high: float
    n: int
    arm: str | None
    placebo: str | None


class Untried(Record):
    """How many failures wait for one remedy: nothing cheaper rescues them, and it was not tried.

    `passed` of them it passes, but its placebo was not asked of them. `tried` failures it was tried
    on beside its placebo; `because` says why it was tried on none, where that is known.
    """

    name: str
    remedy: Remedy
    n: int
    passed: int = 0
    tried: int = 0
    because: str = ""


class Shared(Record):
    """How many failed cases two interventions both rescue."""

    one: str
    other: str
    both: int


class Diagnosis(Record):
    """What was wrong, class by class. `cause` names the class of every failed case.

    `wrong` has the classes with their shares of all failures, the likeliest cause first, `chance`
    and `untried` last. `few`: too few failures to say; a row `few`, which holds of them all, then
    stands before the others, and alone below eight. `untried` says which remedies the untried cases
    wait for. `estimates`, where there are such, are the shares of the causes expected if those not
    tried are like those tried: they order `wrong`, and a row's `n` counts the failures that its
    share is taken of. `said` are relations on the task in plain words (retrieval against reading,
    what constraining costs, how much the passages can show at all). `doubts` are right answers to
    look at again. `because` says why there is no diagnosis (then `wrong` is empty), or why only a
    part of what was wrong could be read: then no row `hard` stands for the rest.
    """

    arm: str
    n_fail: int
    n_pass: int
    effects: tuple[Effect, ...] = ()
    wrong: tuple[Wrong, ...] = ()
    cause: dict[str, Cause] = Field(default_factory=dict)
    untried: tuple[Untried, ...] = ()
    estimates: tuple[Wrong, ...] = ()
    overlap: tuple[Shared, ...] = ()
    few: bool = False
    said: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    because: str = ""


def share_of(wrong: Sequence[Wrong], causes: Collection[str]) -> float:
    """Return the share of the failures (0 to 1) that have one of these causes."""
    return min(1.0, sum(row.share for row in wrong if row.cause in causes))


def speaks_against(wrong: Sequence[Wrong], repairs: Collection[str]) -> bool:
    """Return whether a diagnosis speaks against an arm that learns and repairs these causes.

    It does where the largest cause lies in passages and the arm does not repair it. It does not
    where too few failures were read to say (a row `few`), nor where most of them have no remedy.
    """
    if any(row.cause == "few" for row in wrong):
        return False
    told = [row for row in wrong if row.cause in (*REMEDIES, "reading", "label", "hard")]
    first = max(told, key=lambda row: row.share, default=None)
    if first is None or first.cause not in IN_PASSAGES:
        return False
    return "learnable" in repairs and first.cause not in repairs
