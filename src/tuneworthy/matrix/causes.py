"""From what each remedy did to what was wrong: a cause for every failed case, with shares. Pure.

1. A case's cause is the cheapest acting remedy that rescues it while its placebo does not. Real
   retrieval repairs the same as the gold passage, so both find `knowledge`.
2. Relations on the task come next (see `matrix.relations`). `retrieval`: the gold passage acts,
   and real retrieval rescues less than half of what it rescues: the cases of `knowledge` are
   called so. `label`: nothing acts and many failures have labels that contradict others.
   `reading`: the answers stand in the passages, and the gold passage is shown to help less than a
   quarter. The last two take only cases that no acting remedy rescues; what they leave is `hard`.
   A case that an acting remedy and its placebo both rescue, and nothing else, is not hard, and has
   no cause: chance may have rescued it. It is said how many there are; shares stay those of FAIL.
3. Shares of FAIL with Clopper-Pearson intervals, the largest first, ties to the cheaper cause.
   Where nothing but scoring the same answers again was tried, nobody can say what is hard: what
   that finds has its rows, the rest has no cause, and `because` says so.
4. Few failures (40 or fewer; below 60 where nothing acts): the row `few`, which holds of them all,
   and, from 8 failures on, the two likeliest causes by the same rules without asking whether a
   remedy acts. On fewer it was never measured how often that is right: half of two is one answer.
   So too where nothing acts and a remedy that does pass more was put beside its placebo on fewer
   than 60 of them (the minutes had no room for more): then `n` counts those.

A remedy that was tried on a part of the failures only (a pilot on one fold) leaves the others
without a cause: they are neither rescued nor hard, and stand in no entry of `cause`. From there on
shares are those among the cases that were tried, times the share of the failures that came so far.
This takes for granted that who was tried does not depend on the cause. The interval is the product
of the exact bounds of these shares, the error split evenly among them (Bonferroni), so it is
rather too wide; the row's `n` counts the cases that its last share was taken of.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod
from typing import NamedTuple

from tuneworthy.core.causes import (
    REMEDIES,
    Base,
    Cause,
    Diagnosis,
    Effect,
    Intervention,
    Remedy,
    Shared,
)
from tuneworthy.core.verdict import Wrong
from tuneworthy.matrix.effects import LEVEL, asked, both, effect, interval
from tuneworthy.matrix.relations import Pair, contradicted, not_found, not_read

FEW, FEW_SILENT, NAMED, LEAST = 40, 60, 2, 8
CAUSES: tuple[Cause, ...] = (
    "metric", "format", "convention", "knowledge", "retrieval", "reading", "latent", "capability",
    "learnable", "label", "hard", "few",
)  # fmt: skip
UNTRIED = "no remedy was tried on the failed cases: what is wrong was not measured"
REPAIRS: dict[Remedy, Cause] = {"retrieval": "knowledge"}

Cases = frozenset[str]


class _Stage(NamedTuple):
    """The remedies of one cause: which cases they were tried on, and which they rescue.

    `name` and `placebo` are those of the effect that rescues the most.
    """

    cause: Cause
    asked: Cases
    rescued: Cases
    name: str
    placebo: str | None


class _Found(NamedTuple):
    """The cases of one cause `within` those tried; `before`: such pairs on the way there."""

    cause: Cause
    cases: Cases
    within: Cases
    before: tuple[tuple[Cases, Cases], ...]
    name: str | None = None
    placebo: str | None = None


def diagnose(base: Base, interventions: Sequence[Intervention]) -> Diagnosis:
    """Return what was wrong with the failed cases, as far as what was tried can show it.

    No order matters, neither of cases nor of interventions. Without failed cases, or without
    interventions, there is no diagnosis and `because` says why. This module's docstring has the
    rules; `matrix.effects` says when an intervention acts.
    """
    return attribute(base, interventions, [effect(base, one) for one in interventions])


def attribute(
    base: Base, interventions: Sequence[Intervention], effects: Sequence[Effect]
) -> Diagnosis:
    """Return the diagnosis that follows from effects, one an intervention and in their order.

    Apart from `diagnose` for who asks what another rule for `acts` would have named.
    """
    pairs = sorted(
        zip(interventions, effects, strict=True),
        key=lambda pair: (REMEDIES.index(pair[1].remedy), pair[1].name),
    )
    ranked = tuple(one for _, one in pairs)
    blank = Diagnosis(arm=base.arm, n_fail=len(base.fails), n_pass=len(base.passes), effects=ranked)
    if not base.fails:
        return blank.model_copy(update={"because": "nothing fails: there is no cause to seek"})
    if not pairs:
        return blank.model_copy(update={"because": UNTRIED})
    unasked = _unasked(pairs)
    acting = any(one.acts for one in ranked)
    read = _read(base, pairs)
    few = len(base.fails) <= FEW or (not acting and read < FEW_SILENT)
    found, said = _causes(base, pairs, few)
    if unasked:
        found = [one for one in found if one.cause != "hard"]
    rows = [(one.cause, _row(base, one)) for one in found if one.cases]
    rows.sort(key=lambda row: (-row[1].share, CAUSES.index(row[0])))
    tiny = len(base.fails) < LEAST
    wrong = [] if tiny else [row for _, row in rows]
    names = {} if tiny else {case: one.cause for one in found for case in one.cases}
    if few and (wrong or not unasked):
        wrong = [_too_few(read), *wrong[:NAMED]]
        names = dict.fromkeys(base.fails, "few")
    return blank.model_copy(
        update={
            "wrong": tuple(wrong),
            "cause": dict(sorted(names.items())),
            "overlap": tuple(_overlap(ranked)),
            "few": few,
            "said": tuple(said),
            "because": unasked.replace("what was", "what else was", 1) if wrong else unasked,
        }
    )


def _read(base: Base, pairs: Sequence[Pair]) -> int:
    """Return on how many failures it was read what acts: all but where that stays open on a part.

    Open is a remedy that passes more than the base and is not shown to do more than its placebo.
    Fewer than 60 failures are too few by themselves, whatever was read.
    """
    if len(base.fails) < FEW_SILENT:
        return len(base.fails)
    left_open = [
        one.n_fail
        for tried, one in pairs
        if tried.asks and one.n_fail and one.placebo and not one.acts
        if one.gain and one.gain.low > 0
    ]
    return min([len(base.fails), *left_open])


def _unasked(pairs: Sequence[Pair]) -> str:
    """Return why causes were not read where no remedy asked a model of a failed case, else ""."""
    if any(tried.asks and one.n_fail for tried, one in pairs):
        return ""
    names = " and ".join(one.name for _, one in pairs if one.n_fail)
    if not names:
        return UNTRIED
    return (
        f"what was wrong was not read: nothing but {names} could be tried on recorded answers, and"
        " no remedy that asks a model"
    )


def _causes(base: Base, pairs: Sequence[Pair], few: bool) -> tuple[list[_Found], list[str]]:
    """Return the causes of all failed cases that were tried far enough, and what is said of them.

    Only acting remedies count; with few failures all of them do whose placebo, if any, was asked.
    """
    used = [(tried, one) for tried, one in pairs if one.acts or (few and not tried.because)]
    stages = _stages(base, used)
    found, left, said = _walk(base, stages)
    lost, unread = not_found(base, pairs, few), not_read(base, pairs, few)
    torn = contradicted(base, pairs, few)
    if lost.holds:
        found = [
            one._replace(cause="retrieval") if one.cause == "knowledge" else one for one in found
        ]
    label = left.cases & frozenset(base.conflicts if torn.holds else ())
    reading = left.cases & frozenset((base.literal or ()) if unread.holds else ()) - label
    others = left.cases - label - reading
    chance, told = _by_chance(base, pairs, others)
    rest: list[tuple[Cause, Cases]] = [
        ("label", label), ("reading", reading), ("hard", others - chance),
    ]  # fmt: skip
    found += [left._replace(cause=cause, cases=cases) for cause, cases in rest]
    return found, [one for one in (lost.said, unread.said, torn.said, told, *said) if one]


def _by_chance(base: Base, pairs: Sequence[Pair], left: Cases) -> tuple[Cases, str]:
    """Return the cases left that pass with an acting remedy and with its placebo, and a line."""
    acting = (both(base, tried) for tried, one in pairs if one.acts)
    found = left & frozenset().union(*acting)
    many = f"{len(found)} of {len(base.fails)} failures pass with a remedy and with its placebo too"
    return found, f"{many}: chance may be why, so they have no cause" if found else ""


def _stages(base: Base, pairs: Sequence[Pair]) -> list[_Stage]:
    """Return the remedies by the cause that they find, the cheapest first.

    A case counts as tried where any remedy of that cause was tried on it: choosing by who was
    rescued would find too many.
    """
    stages: dict[Cause, _Stage] = {}
    for tried, one in pairs:
        cause = REPAIRS.get(one.remedy, one.remedy)
        new = _Stage(cause, asked(base, tried), frozenset(one.rescued), one.name, one.placebo)
        old = stages.setdefault(cause, new)
        lead = new if len(new.rescued) > len(old.rescued) else old
        stages[cause] = lead._replace(
            asked=old.asked | new.asked, rescued=old.rescued | new.rescued
        )
    return list(stages.values())


def _walk(base: Base, stages: Sequence[_Stage]) -> tuple[list[_Found], _Found, list[str]]:
    """Go from the cheapest remedy to the dearest; return the causes and who is left at the end.

    Where a remedy was tried on a part of those left, the others drop out and `before` keeps the
    share that came so far. One that was tried on none of those left can't say anything of them.
    """
    pool = within = frozenset(base.fails)
    before: tuple[tuple[Cases, Cases], ...] = ()
    found, said = [], []
    for stage in stages:
        tried = pool & stage.asked
        if pool and len(tried) < len(pool):
            many = f"{stage.name} was tried on {len(tried)} of {len(pool)} failures"
            said.append(f"{many} that nothing cheaper rescues")
        if not tried:
            continue
        if tried < pool:
            before, pool, within = (*before, (pool, within)), tried, tried
        hit = pool & stage.rescued
        found.append(_Found(stage.cause, hit, within, before, stage.name, stage.placebo))
        pool -= hit
    return found, _Found("hard", pool, within, before), said


def _row(base: Base, found: _Found) -> Wrong:
    links = [*found.before, (found.cases, found.within)]
    parts = [interval(base, cases, within, LEVEL / len(links)) for cases, within in links]
    return Wrong(
        cause=found.cause,
        share=round(prod(part.mean for part in parts), 9),
        low=round(prod(part.low for part in parts), 9),
        high=round(prod(part.high for part in parts), 9),
        n=len(found.within),
        arm=found.name,
        placebo=found.placebo,
    )


def _too_few(n: int) -> Wrong:
    """Return the row that holds of all failures: of n that were read, too few to say."""
    return Wrong(cause="few", share=1.0, low=1.0, high=1.0, n=n, arm=None, placebo=None)


def _overlap(effects: Sequence[Effect]) -> list[Shared]:
    """Return how many failed cases each two interventions both rescue, where any."""
    return [
        Shared(one=one.name, other=other.name, both=both)
        for one, other in combinations(effects, 2)
        if (both := len(set(one.rescued) & set(other.rescued)))
    ]
