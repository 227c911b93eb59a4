"""One class for every failed case: a cause, `chance`, or `untried`. Pure.

The remedies are walked from the cheapest to the dearest. A case belongs to the first that rescues
it. Where it is not known whether one does, the case is `untried`, whatever a dearer one did: it was
not asked, or it passes and its placebo was not asked. A remedy that fails a case does not rescue
it, with or without a placebo.

What none of them rescues is `label`, `reading`, `chance` or `hard` (see `matrix.causes`). It is not
hard but `untried` where a remedy that is not shown to act was tried on other failures only, unless
it is shown to rescue less than a quarter of those; and where no remedy of its kind was tried at
all for want of minutes, money or a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tuneworthy.core.causes import Base, Cause, Intervention, Remedy, Untried
from tuneworthy.diagnose.effects import LEVEL, asked, interval
from tuneworthy.diagnose.relations import QUARTER, Pair

REPAIRS: dict[Remedy, Cause] = {"retrieval": "knowledge"}

Cases = frozenset[str]


class Stage(NamedTuple):
    """The remedies of one cause: which cases they were tried on, and which they rescue.

    `name` and `placebo` are those of the effect that rescues the most. `pairs` are all of them.
    """

    cause: Cause
    asked: Cases
    rescued: Cases
    name: str
    placebo: str | None
    pairs: tuple[Pair, ...]


class Class(NamedTuple):
    """The failed cases of one class; `most` holds the untried ones that may belong to it as well.

    `name` and `placebo` are those of the remedy that shows it, where one does.
    """

    cause: Cause
    cases: Cases
    most: Cases = frozenset()
    name: str | None = None
    placebo: str | None = None


class Rest(NamedTuple):
    """What names a case that no remedy rescues: doubtful labels, answers before the model's eyes,
    luck. `hard` is False where no remedy asked a model, so that nobody can say what is hard."""

    label: Cases
    reading: Cases
    chance: Cases
    hard: bool


def stages(base: Base, pairs: Sequence[Pair]) -> list[Stage]:
    """Return the remedies by the cause that they find, in their order.

    A case counts as tried where any remedy of that cause was tried on it: choosing by who was
    rescued would find too many.
    """
    found: dict[Cause, Stage] = {}
    for tried, one in pairs:
        cause = REPAIRS.get(one.remedy, one.remedy)
        new = Stage(
            cause, asked(base, tried), frozenset(one.rescued), one.name, one.placebo,
            ((tried, one),),
        )  # fmt: skip
        old = found.setdefault(cause, new)
        if old is not new:
            lead = new if len(new.rescued) > len(old.rescued) else old
            found[cause] = lead._replace(
                asked=old.asked | new.asked,
                rescued=old.rescued | new.rescued,
                pairs=(*old.pairs, *new.pairs),
            )
    return list(found.values())


def classes(
    base: Base, walked: Sequence[Stage], others: Sequence[Pair], rest: Rest
) -> tuple[list[Class], tuple[Untried, ...]]:
    """Return every failed case in one class, and which remedies the untried ones wait for.

    `others` are the pairs that no stage was made of.
    """
    left, waits = frozenset(base.fails), dict[str, tuple[Pair, Cases]]()
    found = []
    for stage in walked:
        hit = left & stage.rescued
        found.append(Class(stage.cause, hit, frozenset(), stage.name, stage.placebo))
        left -= hit
        for pair in stage.pairs:
            left = _wait(base, pair, left, waits)
    label = left & rest.label
    reading = (left & rest.reading) - label
    chance = (left & rest.chance) - label - reading
    hard = left - label - reading - chance
    for pair in others:
        if _may_rescue(base, pair):
            hard = _wait(base, pair, hard, waits)
    untried = frozenset().union(*(cases for _, cases in waits.values()))
    if not rest.hard:
        untried, hard = untried | hard, frozenset()
    found += [Class("label", label), Class("reading", reading), Class("hard", hard)]
    found.append(Class("chance", chance))
    found = [one._replace(most=_most(base, one, walked) & untried) for one in found]
    told = sorted((_told(base, *one) for one in waits.values()), key=lambda one: -one.n)
    return [one for one in (*found, Class("untried", untried)) if one.cases], tuple(told)


def unknown(base: Base, tried: Intervention) -> Cases:
    """Return the failed cases of which it is not known whether the remedy rescues them."""
    failed = {case for case, passed in tried.passed.items() if not passed}
    return frozenset(base.fails) - asked(base, tried) - failed


def _wait(base: Base, pair: Pair, left: Cases, waits: dict[str, tuple[Pair, Cases]]) -> Cases:
    """Return the cases left that do not wait for this remedy; add those that do to `waits`."""
    if here := left & unknown(base, pair[0]):
        waits[pair[1].name] = (pair, here)
    return left - here


def _may_rescue(base: Base, pair: Pair) -> bool:
    """Return whether a remedy that is not shown to act may rescue cases it was not tried on.

    Not where it is shown to rescue less than a quarter of those that it was tried on.
    """
    tried, one = pair
    if not one.n_fail or tried.unproved:
        return True
    if one.contrast:
        return one.contrast.high >= QUARTER
    return interval(base, one.rescued, asked(base, tried), LEVEL).high >= QUARTER


def _most(base: Base, one: Class, walked: Sequence[Stage]) -> Cases:
    """Return the failed cases that may be of this class as far as they were tried."""
    for stage in walked:
        if stage.cause == one.cause:
            return frozenset().union(*(unknown(base, tried) for tried, _ in stage.pairs))
    return frozenset(base.fails)


def _told(base: Base, pair: Pair, cases: Cases) -> Untried:
    tried, one = pair
    return Untried(
        name=one.name,
        remedy=one.remedy,
        n=len(cases),
        passed=sum(tried.passed.get(case, False) for case in cases),
        tried=len(asked(base, tried)),
        because="" if one.n_fail else one.because,
    )
