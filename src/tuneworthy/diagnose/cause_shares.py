"""From what each remedy did to what was wrong: a class for every failed case, with shares. Pure.

1. A case's cause is the cheapest acting remedy that rescues it while its placebo does not. Real
   retrieval repairs the same as the gold passage, so both find `knowledge`.
2. Relations on the task come next (see `matrix.relations`). `retrieval`: the gold passage acts,
   and real retrieval rescues less than half of what it rescues: the cases of `knowledge` are
   called so. `label`: nothing acts and many failures have labels that contradict others.
   `reading`: the answers stand in the passages, and the gold passage is shown to help less than a
   quarter. The last two take only cases that no acting remedy rescues; what they leave is `hard`.
3. Two classes are no causes. `chance`: an acting remedy and its placebo both rescue the case, and
   nothing else does. `untried`: a remedy that may rescue it was not tried on it (`matrix.classes`
   says when). With them every failed case is in one class, and shares of all failures add up to 1,
   with Clopper-Pearson intervals in which an untried case may be of any cause it was not tried for.
4. Few failures (40 or fewer; below 60 where nothing acts): the row `few` comes first, which holds
   of them all, and, from 8 failures on, the likeliest causes by the same rules without asking
   whether a remedy acts. On fewer it was never measured how often that is right: half of two is one
   answer. So too where nothing acts and a remedy that does pass more was put beside its placebo on
   fewer than 60 of them (the minutes had no room for more): then `n` of that row counts those.

Causes stand in the order of their estimates, ties to the cheaper one; `chance` and `untried` stand
last. Where everything was tried the estimates are the shares. A remedy that was tried on a part of
the failures only (a pilot on one fold) leaves the others out of its estimate: from there on shares
are those among the cases that were tried, times the share of the failures that came so far. This
takes for granted that who was tried does not depend on the cause. The interval is the product of
the exact bounds of these shares, the error split evenly among them (Bonferroni), so it is rather
too wide. What is known of the others for sure limits an estimate: the arm itself may fail cases
that its pilot was not tried on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod
from typing import NamedTuple

from tuneworthy.core.causes import (
    NO_CAUSES,
    REMEDIES,
    Base,
    Cause,
    Diagnosis,
    Effect,
    Intervention,
    Shared,
    Untried,
)
from tuneworthy.core.verdict import Wrong
from tuneworthy.diagnose.effects import LEVEL, both, effect, interval
from tuneworthy.diagnose.failure_classes import Cases, Class, Rest, Stage, classes, stages
from tuneworthy.diagnose.relations import Pair, contradicted, not_found, not_read

FEW, FEW_SILENT, LEAST = 40, 60, 8
CAUSES: tuple[Cause, ...] = (
    "metric", "format", "convention", "knowledge", "retrieval", "reading", "latent", "capability",
    "learnable", "label", "hard", "chance", "untried", "few",
)  # fmt: skip
UNTRIED = "no remedy was tried on the failed cases: what is wrong was not measured"


class _Found(NamedTuple):
    """The cases of one cause `within` those tried; `before`: such pairs on the way there."""

    cause: Cause
    cases: Cases
    within: Cases
    before: tuple[tuple[Cases, Cases], ...]
    name: str | None = None
    placebo: str | None = None


class _Seen(NamedTuple):
    """The estimated causes, every case in its class, which remedies the untried cases wait for, and
    what is said of relations on the task."""

    estimates: list[_Found]
    classes: list[Class]
    untried: tuple[Untried, ...]
    said: list[str]


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
    seen = _seen(base, pairs, few, hard=not unasked)
    rows, estimates = _rows(base, seen)
    tiny, silent = len(base.fails) < LEAST, all(row.cause in NO_CAUSES for row in rows)
    named = not tiny and not (silent and unasked)
    wrong = rows if named else []
    names = {case: one.cause for one in seen.classes for case in one.cases} if named else {}
    if few and (wrong or not unasked):
        wrong = [_too_few(read), *wrong]
        names = dict.fromkeys(base.fails, "few")
    return blank.model_copy(
        update={
            "wrong": tuple(wrong),
            "cause": dict(sorted(names.items())),
            "untried": seen.untried if wrong and not tiny else (),
            "estimates": tuple(estimates) if named else (),
            "overlap": tuple(_overlap(ranked)),
            "few": few,
            "said": tuple(seen.said),
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
        f"what was wrong was not read: nothing but {names} was tried, and no remedy that asks a"
        " model (recorded answers allow none)"
    )


def _seen(base: Base, pairs: Sequence[Pair], few: bool, hard: bool) -> _Seen:
    """Return what is known of the failed cases, and what is expected of all of them.

    Only acting remedies count; with few failures all of them do whose placebo, if any, was asked.
    `hard`: a remedy asked a model, so what nothing rescues may be called so.
    """
    used = [(tried, one) for tried, one in pairs if one.acts or (few and not tried.because)]
    others = [pair for pair in pairs if pair not in used]
    walked = stages(base, used)
    found, left = _walk(base, walked)
    lost, unread = not_found(base, pairs, few), not_read(base, pairs, few)
    torn = contradicted(base, pairs, few)
    rest = Rest(
        label=frozenset(base.conflicts if torn.holds else ()),
        reading=frozenset((base.literal or ()) if unread.holds else ()),
        chance=_by_chance(base, pairs),
        hard=hard,
    )
    known, untried = classes(base, walked, others, rest)
    label = left.cases & rest.label
    reading = (left.cases & rest.reading) - label
    nothing = left.cases - label - reading - rest.chance if hard else frozenset()
    ends: list[tuple[Cause, Cases]] = [("label", label), ("reading", reading), ("hard", nothing)]
    found += [left._replace(cause=cause, cases=cases) for cause, cases in ends]
    if lost.holds:
        found = [one._replace(cause=_not_found(one.cause)) for one in found]
        known = [one._replace(cause=_not_found(one.cause)) for one in known]
    said = [one for one in (lost.said, unread.said, torn.said, _chances(base, known)) if one]
    return _Seen(found, known, untried, said)


def _not_found(cause: Cause) -> Cause:
    """Return what a cause is called where passages that would help are not found."""
    return "retrieval" if cause == "knowledge" else cause


def _by_chance(base: Base, pairs: Sequence[Pair]) -> Cases:
    """Return the failed cases that pass with an acting remedy and with its placebo."""
    return frozenset().union(*(both(base, tried) for tried, one in pairs if one.acts))


def _chances(base: Base, known: Sequence[Class]) -> str:
    """Return what is said of the cases that chance may have rescued, "" where there is none."""
    n = next((len(one.cases) for one in known if one.cause == "chance"), 0)
    many = f"{n} of {len(base.fails)} failures pass with a remedy and with its placebo too"
    return f"{many}: chance may be why, so they have no cause" if n else ""


def _walk(base: Base, walked: Sequence[Stage]) -> tuple[list[_Found], _Found]:
    """Go from the cheapest remedy to the dearest; return the causes and who is left at the end.

    Where a remedy was tried on a part of those left, the others drop out and `before` keeps the
    share that came so far. One that was tried on none of those left can't say anything of them.
    """
    pool = within = frozenset(base.fails)
    before: tuple[tuple[Cases, Cases], ...] = ()
    found = []
    for stage in walked:
        tried = pool & stage.asked
        if not tried:
            continue
        if tried < pool:
            before, pool, within = (*before, (pool, within)), tried, tried
        hit = pool & stage.rescued
        found.append(_Found(stage.cause, hit, within, before, stage.name, stage.placebo))
        pool -= hit
    return found, _Found("hard", pool, within, before)


def _rows(base: Base, seen: _Seen) -> tuple[list[Wrong], list[Wrong]]:
    """Return a row a class in order, and the estimates where a case was not tried, else none."""
    rows = {one.cause: _row(base, one) for one in seen.classes}
    known = {one.cause: one for one in seen.classes}
    estimates = {
        one.cause: _limited(base, _estimate(base, one), known[one.cause])
        for one in seen.estimates
        if one.cause in known
    }

    def key(cause: Cause) -> tuple[bool, float, int]:
        one = estimates.get(cause, rows[cause])
        return cause in NO_CAUSES, -one.share if cause in estimates else 0.0, CAUSES.index(cause)

    order = sorted(known, key=key)
    told = [estimates[cause] for cause in order if cause in estimates]
    return [rows[cause] for cause in order], told if "untried" in known else []


def _row(base: Base, one: Class) -> Wrong:
    """Return the share of a class among all failures; an untried case may be of it or not."""
    least = interval(base, one.cases, base.fails, LEVEL)
    most = interval(base, one.cases | one.most, base.fails, LEVEL) if one.most else least
    open_ = one.cause == "untried"  # what this study did, not what rows are like
    return Wrong(
        cause=one.cause,
        share=least.mean,
        low=least.mean if open_ else least.low,
        high=least.mean if open_ else most.high,
        n=len(base.fails),
        arm=one.name,
        placebo=one.placebo,
    )


def _limited(base: Base, one: Wrong, known: Class) -> Wrong:
    """Return an estimate within what is known: the cases of this cause, and those it may have."""
    least, most = len(known.cases), len(known.cases | known.most)
    share = round(min(max(one.share, least / len(base.fails)), most / len(base.fails)), 9)
    return one.model_copy(
        update={"share": share, "low": min(one.low, share), "high": max(one.high, share)}
    )


def _estimate(base: Base, found: _Found) -> Wrong:
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
