"""Assign every failed case to one class: a cause, `chance` or `untried`. Pure.

The remedies are applied from cheapest to dearest, and a case belongs to the first that rescues it.
If it is unknown whether a remedy rescues the case, it is `untried`, whatever a dearer remedy did:
the remedy was not run on it, or the case passes but the placebo was not run. A remedy that fails a
case does not rescue it, with or without a placebo.

A case that none of them rescues is `label`, `reading`, `chance` or `hard` (see
`diagnose.cause_shares`). It is `untried` instead of `hard` if a remedy that is not shown to act was
tried on other failures only, unless it is shown to rescue less than a quarter of those; and if no
remedy of a kind was tried at all for lack of time, money or a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tuneworthy.explain.effects import QUARTER, TriedEffect, decided_cases, share_interval
from tuneworthy.records.causes import BaseOutcomes, Cause, Intervention, Remedy, UntriedRemedy
from tuneworthy.records.interval import ALPHA

_CAUSE_OF_REMEDY: dict[Remedy, Cause] = {"retrieval": "knowledge"}

CaseIds = frozenset[str]


class RemedyStep(NamedTuple):
    """The remedies of one cause: the cases they were tried on and the cases they rescue.

    `name` and `placebo` are those of the effect that rescues the most cases; `pairs` has all.
    """

    cause: Cause
    asked: CaseIds
    rescued: CaseIds
    name: str
    placebo: str | None
    pairs: tuple[TriedEffect, ...]


class FailureClass(NamedTuple):
    """The failed cases of one class; `most` has the untried cases that may belong to it too.

    `name` and `placebo` are those of the remedy that shows the class, None if no remedy does.
    """

    cause: Cause
    cases: CaseIds
    most: CaseIds = frozenset()
    name: str | None = None
    placebo: str | None = None


class UnrescuedCases(NamedTuple):
    """The cases for the classes without a remedy: doubtful labels, answers in the passage, chance.

    `model_was_called` is False if no remedy called a model; then no case can be called hard.
    """

    label: CaseIds
    reading: CaseIds
    chance: CaseIds
    model_was_called: bool


def remedies_by_cause(base: BaseOutcomes, pairs: Sequence[TriedEffect]) -> list[RemedyStep]:
    """Return one step per cause that `pairs` show, merging its remedies, in the given order.

    A case counts as tried if any remedy of the cause was tried on it; selecting by the rescued
    cases would overestimate the share.
    """
    by_cause: dict[Cause, RemedyStep] = {}
    for tried, effect in pairs:
        cause = _CAUSE_OF_REMEDY.get(effect.remedy, effect.remedy)
        new = RemedyStep(
            cause,
            decided_cases(base, tried),
            frozenset(effect.rescued),
            effect.name,
            effect.placebo,
            ((tried, effect),),
        )
        old = by_cause.setdefault(cause, new)
        if old is not new:
            lead = new if len(new.rescued) > len(old.rescued) else old
            by_cause[cause] = lead._replace(
                asked=old.asked | new.asked,
                rescued=old.rescued | new.rescued,
                pairs=(*old.pairs, *new.pairs),
            )
    return list(by_cause.values())


def failure_classes(
    base: BaseOutcomes,
    steps: Sequence[RemedyStep],
    others: Sequence[TriedEffect],
    rest: UnrescuedCases,
) -> tuple[list[FailureClass], tuple[UntriedRemedy, ...]]:
    """Return (non-empty classes that split all failed cases, remedies untried on some of them).

    `others` are the remedies that are in no step.
    """
    remaining, pending = frozenset(base.fails), dict[str, tuple[TriedEffect, CaseIds]]()
    result = []
    for step in steps:
        rescued = remaining & step.rescued
        result.append(FailureClass(step.cause, rescued, frozenset(), step.name, step.placebo))
        remaining -= rescued
        for pair in step.pairs:
            remaining = _defer_undecided(base, pair, remaining, pending)
    label = remaining & rest.label
    reading = (remaining & rest.reading) - label
    chance = (remaining & rest.chance) - label - reading
    hard = remaining - label - reading - chance
    for pair in others:
        if _may_rescue_untried(base, pair):
            hard = _defer_undecided(base, pair, hard, pending)
    untried = frozenset().union(*(cases for _, cases in pending.values()))
    if not rest.model_was_called:
        untried, hard = untried | hard, frozenset()
    result += [
        FailureClass("label", label),
        FailureClass("reading", reading),
        FailureClass("hard", hard),
    ]
    result.append(FailureClass("chance", chance))
    result = [item._replace(most=_possible_cases(base, item, steps) & untried) for item in result]
    reasons = sorted(
        (_untried_remedy(base, *item) for item in pending.values()), key=lambda item: -item.n
    )
    return [item for item in (*result, FailureClass("untried", untried)) if item.cases], tuple(
        reasons
    )


def _undecided_cases(base: BaseOutcomes, tried: Intervention) -> CaseIds:
    """Return ids of failed cases for which it is unknown whether the remedy rescues them."""
    failed = {case for case, passed in tried.passed.items() if not passed}
    return frozenset(base.fails) - decided_cases(base, tried) - failed


def _defer_undecided(
    base: BaseOutcomes,
    pair: TriedEffect,
    cases: CaseIds,
    pending: dict[str, tuple[TriedEffect, CaseIds]],
) -> CaseIds:
    """Return `cases` without those undecided for this remedy, which are added to `pending`."""
    if deferred := cases & _undecided_cases(base, pair[0]):
        pending[pair[1].name] = (pair, deferred)
    return cases - deferred


def _may_rescue_untried(base: BaseOutcomes, pair: TriedEffect) -> bool:
    """Return whether a remedy not shown to act may still rescue cases it was not tried on.

    False if it is shown to rescue less than a quarter of the cases it was tried on.
    """
    tried, effect = pair
    if not effect.n_fail or tried.unproved:
        return True
    if effect.contrast:
        return effect.contrast.high >= QUARTER
    return share_interval(base, effect.rescued, decided_cases(base, tried), ALPHA).high >= QUARTER


def _possible_cases(
    base: BaseOutcomes, class_: FailureClass, steps: Sequence[RemedyStep]
) -> CaseIds:
    """Return the failed cases that may belong to this class, going by what was tried."""
    for step in steps:
        if step.cause == class_.cause:
            return frozenset().union(*(_undecided_cases(base, tried) for tried, _ in step.pairs))
    return frozenset(base.fails)


def _untried_remedy(base: BaseOutcomes, pair: TriedEffect, cases: CaseIds) -> UntriedRemedy:
    tried, effect = pair
    return UntriedRemedy(
        name=effect.name,
        remedy=effect.remedy,
        n=len(cases),
        passed=sum(tried.passed.get(case, False) for case in cases),
        tried=len(decided_cases(base, tried)),
        because="" if effect.n_fail else effect.because,
    )
