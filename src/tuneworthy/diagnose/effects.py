"""Test the effect of one remedy against its placebo and against a rerun of the base. Pure.

FAIL and PASS are the cases that the base fails and passes, resc(X) is the share of FAIL that passes
under X and harm(X) the share of PASS that fails under X:

    net      |FAIL| (resc(I) - resc(I0))    - |PASS| (harm(I) - harm(I0)),    I0 the placebo
    gain     |FAIL| (resc(I) - resc(rerun)) - |PASS| (harm(I) - harm(rerun))
    contrast resc(I) - resc(I0)

A remedy that builds on a prompt has two rivals, its placebo and that prompt alone, and must beat
each. They are tested separately, because the union of what they pass would get two draws of luck.
Since both must be beaten, the level is not split (intersection-union test; Berger 1982,
Technometrics 24, 295-300).

If every case was run, net and gain are sums of paired differences over all cases, and the paired
bound of stats.bounds applies. If FAIL or PASS was sampled, each part is scaled to its full size and
the half-widths of the two score bounds are added in squares. Source: Newcombe (1998), Statistics in
Medicine 17, 873-890; Zou and Donner (2008), the same 27, 1693-1702. Both sizes are taken as fixed,
and correlation from groups with cases in both parts is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt

import numpy as np

from tuneworthy.core.causes import BaseOutcomes, Effect, Intervention
from tuneworthy.core.evidence import Interval
from tuneworthy.stats import bounds
from tuneworthy.stats.discordant import EXACT_BELOW
from tuneworthy.stats.distributions import binomial_tail

ALPHA = 0.05
GUESSED = 0.95
"""If the placebo passes more of the failures than this share, no effect can be shown."""
FAILS = 0.5
"""A placebo fails a case if it passes in less than this share of its draws."""

LEAST = 1e-6
"""The lower end of an interval that excludes 0 by an exact test, without a known value."""

Passed = Mapping[str, float]


def effect(base: BaseOutcomes, tried: Intervention) -> Effect:
    """Return the effect of an intervention and whether it acts: net, gain and contrast all above 0.

    Each lower end is that of a two-sided 95 % interval, clustered by group. A figure that could not
    be measured is None and is not required, and `because` says so: without a placebo there is no
    net and no contrast; if no passed case was run there is no net and no gain. In that case the
    share of FAIL rescued beyond a rerun of the base must be above 0 as well.
    """
    rerun, rivals = _rerun(base), _rivals(tried)
    fails = _common_cases(base.fails, tried.passed, *(rivals or [rerun]))
    passes = _common_cases(base.passes, tried.passed)
    net = _lowest([_net_passes(base, tried.passed, rival) for rival in rivals])
    gain = _net_passes(base, tried.passed, rerun)
    compared = rivals if fails else []
    contrasts = [_rounded(_contrast(base, fails, tried.passed, rival)) for rival in compared]
    contrast = _lowest(contrasts)
    beyond = _paired(base, _common_cases(fails, rerun), tried.passed, rerun)
    rescue, placebo_share = _share(fails, tried.passed), None
    if contrast is not None:
        placebo_share = _share(fails, rivals[contrasts.index(contrast)])
    required = [net, gain, contrast] + ([beyond] if gain is None or contrast is None else [])
    informative = placebo_share is None or placebo_share <= GUESSED
    acts = (
        bool(fails)
        and informative
        and not tried.unproved
        and all(interval_.low > 0 for interval_ in required if interval_ is not None)
    )
    result = Effect(
        name=tried.name,
        remedy=tried.remedy,
        placebo=tried.placebo,
        n_fail=len(fails),
        n_pass=len(passes),
        rescue=rescue,
        placebo_rescue=placebo_share,
        harm=None if (passed := _share(passes, tried.passed)) is None else round(1 - passed, 6),
        net=net,
        gain=gain,
        contrast=contrast,
        corrected=_corrected(contrast, placebo_share),
        acts=acts,
        rescued=()
        if tried.unproved
        else rescued_cases(fails, tried.passed, _best_rival(base, tried)),
    )
    return result.model_copy(update={"because": _because(result, tried, _share(fails, rerun))})


def rescued_cases(fails: Iterable[str], passed: Passed, versus: Passed) -> tuple[str, ...]:
    """Return the failed cases that pass with the remedy and not under its rivals (`versus`)."""
    return tuple(case for case in fails if passed[case] and versus[case] < FAILS)


def decided_cases(base: BaseOutcomes, tried: Intervention) -> frozenset[str]:
    """Return the failed cases for which it is known whether the remedy rescues them.

    If the placebo was not run, these are only the cases that the remedy fails.
    """
    if tried.unproved:
        return frozenset(case for case in base.fails if tried.passed.get(case) is False)
    return frozenset(_common_cases(base.fails, tried.passed, _best_rival(base, tried)))


def passed_by_both(base: BaseOutcomes, tried: Intervention) -> frozenset[str]:
    """Return the failed cases that pass with the remedy and under a rival."""
    versus = _best_rival(base, tried)
    fails = _common_cases(base.fails, tried.passed, versus)
    return frozenset(case for case in fails if tried.passed[case] and versus[case] >= FAILS)


def _rivals(tried: Intervention) -> list[Passed]:
    """Return the rivals that the remedy must beat: its placebo and the prompt it builds on."""
    return [rival for rival in (tried.placebo_passed, tried.alone) if rival]


def _best_rival(base: BaseOutcomes, tried: Intervention) -> Passed:
    """Return the highest pass share of any rival by case; without rivals, of the rerun base."""
    rivals = _rivals(tried)
    if not rivals:
        return _rerun(base)
    shared = set(rivals[0]).intersection(*rivals)
    return {case: max(rival[case] for rival in rivals) for case in shared}


def _lowest(intervals: Sequence[Interval | None]) -> Interval | None:
    """Return the interval with the smallest lower end; None if there is none."""
    return min(
        (interval_ for interval_ in intervals if interval_),
        key=lambda interval_: interval_.low,
        default=None,
    )


def interval(
    base: BaseOutcomes, cases: Iterable[str], within: Iterable[str], level: float
) -> Interval:
    """Return the share of `cases` among `within`, two-sided at `level`.

    Clopper-Pearson, widened for groups (see stats.bounds.mean_interval). Raises ValueError for an
    empty `within`.
    """
    hit, ids = set(cases), sorted(within)
    groups = [base.groups.get(i) for i in ids]
    mean, low, high = bounds.mean_interval([float(i in hit) for i in ids], level, groups)
    return _rounded(Interval(mean=mean, low=low, high=high))


def _rerun(base: BaseOutcomes) -> Passed:
    """Return the pass share of a rerun of the base; if it was not rerun, its first result."""
    if base.rerun:
        return {case: float(passed) for case, passed in base.rerun.items()}
    return dict.fromkeys(base.fails, 0.0) | dict.fromkeys(base.passes, 1.0)


def _common_cases(cases: Iterable[str], *columns: Passed) -> list[str]:
    return sorted(case for case in cases if all(case in column for column in columns))


def _share(cases: Sequence[str], column: Passed | None) -> float | None:
    if column is None or not all(case in column for case in cases):
        return None
    return round(float(np.mean([float(column[case]) for case in cases])), 6) if cases else None


def _net_passes(base: BaseOutcomes, one: Passed, other: Passed) -> Interval | None:
    """Return the passes under `one` minus those under `other`, scaled to all cases."""
    fails, passes = _common_cases(base.fails, one, other), _common_cases(base.passes, one, other)
    if bool(fails) < bool(base.fails) or bool(passes) < bool(base.passes):
        return None
    if len(fails) + len(passes) == len(base.fails) + len(base.passes):
        difference = _paired(base, [*fails, *passes], one, other)
        return _rounded(_scaled(difference, len(fails) + len(passes)))
    parts = [
        _scaled(_paired(base, part, one, other, few=0), len(population))
        for part, population in ((fails, base.fails), (passes, base.passes))
        if part
    ]
    mean = sum(part.mean for part in parts)
    below = sqrt(sum((part.mean - part.low) ** 2 for part in parts))
    above = sqrt(sum((part.high - part.mean) ** 2 for part in parts))
    return _rounded(Interval(mean=mean, low=mean - below, high=mean + above))


def _paired(
    base: BaseOutcomes, cases: Sequence[str], one: Passed, other: Passed, few: int = EXACT_BELOW
) -> Interval:
    ids = sorted(cases)
    if not ids:
        return Interval(mean=0.0, low=-1.0, high=1.0)
    diffs = np.array([float(one[i]) - float(other[i]) for i in ids])
    bound = bounds.paired(diffs, ALPHA / 2, groups=[base.groups.get(i) for i in ids], few=few)
    return Interval(mean=bound.mean, low=bound.low, high=bound.high)


def _contrast(base: BaseOutcomes, fails: Sequence[str], one: Passed, other: Passed) -> Interval:
    """Return the share rescued beyond a rival; McNemar's exact test may lift the lower end above 0.

    Below ten differing cases the bound of two shares is too wide to distinguish 6 of 12 from none.
    McNemar's exact test rejects every difference up to 0 at the same level, so these values leave
    the interval (any test may be inverted at each value). Not used for grouped cases.
    """
    bound = _paired(base, fails, one, other)
    diffs = [float(one[i]) - float(other[i]) for i in fails]
    wins, losses = (sum(sign * d == 1 for d in diffs) for sign in (1, -1))
    plain = all(d in (-1, 0, 1) for d in diffs) and not any(i in base.groups for i in fails)
    if bound.low > 0 or not plain or not 0 < wins + losses < EXACT_BELOW:
        return bound
    p_value = binomial_tail(wins - 1, wins + losses, 0.5)
    return bound.model_copy(update={"low": LEAST}) if p_value <= ALPHA / 2 else bound


def _scaled(share: Interval, n: int) -> Interval:
    return Interval(mean=n * share.mean, low=n * share.low, high=n * share.high)


def _rounded(interval_: Interval) -> Interval:
    mean, low, high = (
        round(float(value), 9) for value in (interval_.mean, interval_.low, interval_.high)
    )
    return Interval(mean=mean, low=low, high=high)


def _corrected(contrast: Interval | None, placebo_share: float | None) -> float | None:
    """Return (resc(I) - resc(I0)) / (1 - resc(I0)), the rescue rate corrected for guessing."""
    if contrast is None or placebo_share is None or placebo_share > GUESSED:
        return None
    return round(contrast.mean / (1 - placebo_share), 6)


def _because(result: Effect, tried: Intervention, rerun: float | None) -> str:
    """Return why the remedy does not act or, if it acts, what was not measured."""
    gaps = _gaps(result, tried)
    if result.acts:
        return gaps
    if not result.n_fail:
        return tried.because or "it was asked of no failed case"
    reason = _why_not(result, tried.placebo or "its placebo", rerun)
    return f"{reason}; {gaps}" if gaps else reason


def _gaps(result: Effect, tried: Intervention) -> str:
    """Return which required figures were not measured."""
    gaps = []
    if result.contrast is None:
        why = f" ({tried.because})" if tried.because else ""
        gaps.append(f"it has no placebo{why}, so gain and rescue alone decide")
    if result.gain is None:
        gaps.append("no passed case was asked, so what it harms is not known")
    elif result.net is None and result.contrast is not None:
        gaps.append("no passed case was asked of its placebo, so gain and rescue decide")
    return "; ".join(gaps)


def _why_not(result: Effect, placebo: str, rerun: float | None) -> str:
    n, share = result.n_fail, result.rescue or 0.0
    text = f"rescues {_count(share, n)} of {n}"
    if share == 0:
        return f"rescues none of {n}"
    if result.placebo_rescue is not None:
        text += f", {placebo} {_count(result.placebo_rescue, n)}"
        if result.placebo_rescue > GUESSED:
            return f"{text}: guessing alone does so, so nothing can be told"
        if result.contrast is not None and result.contrast.low <= 0:
            more = result.contrast.mean > 0 and "not shown to be more than its placebo"
            return f"{text}: {more or 'no more than its placebo'}"
    if rerun:
        text += f", the base asked again {_count(rerun, n)}"
    if result.harm:
        text += f", and fails {_count(result.harm, result.n_pass)} of {result.n_pass} passed cases"
    return f"{text}: no gain is shown"


def _count(share: float, n: int) -> str:
    """Return a share as a number of cases, with one decimal for a placebo of several draws."""
    return f"{share * n:.1f}".removesuffix(".0")
