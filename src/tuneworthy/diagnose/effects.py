"""What one remedy did, beside its placebo and beside the base asked again. Pure.

With FAIL and PASS the cases that the base fails and passes, resc(X) the share of FAIL that passes
under X and harm(X) the share of PASS that fails under X:

    net      |FAIL| (resc(I) - resc(I0))    - |PASS| (harm(I) - harm(I0)),    I0 the placebo
    gain     |FAIL| (resc(I) - resc(rerun)) - |PASS| (harm(I) - harm(rerun))
    contrast resc(I) - resc(I0)

A remedy that stands on a prompt has two rivals, its placebo and that prompt alone, and must beat
each. They are compared one by one: what either of them passes would have two draws of luck. As
both must be beaten no level is split (intersection-union test; Berger 1982, Technometrics 24,
295-300).

Where every case was asked net and gain are sums of paired differences over all cases, so the
paired bound of stats.bounds holds them. Where FAIL or PASS was sampled each of the two is scaled
to its full size and the half-widths of their score bounds are added in squares. Source: Newcombe
(1998), Statistics in Medicine 17, 873-890; Zou and Donner (2008), the same 27, 1693-1702. Both
sizes are taken as fixed; what groups that lie in both parts share is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt

import numpy as np
from scipy.stats import binom

from tuneworthy.core.causes import Base, Effect, Intervention
from tuneworthy.core.evidence import Interval
from tuneworthy.stats import bounds
from tuneworthy.stats.discordant import FEW

LEVEL = 0.05
GUESSED = 0.95
"""A placebo that passes more of the failures than this leaves nothing to be told."""
FAILS = 0.5
"""A placebo of several draws fails a case where it passes less than this share of them."""

LEAST = 1e-6
"""A low end that is above 0 and no more is known of it."""

Passed = Mapping[str, float]


def effect(base: Base, tried: Intervention) -> Effect:
    """Return what an intervention did, and whether it acts: net, gain and contrast all above 0.

    Every lower end is that of a two-sided 95 % interval, groups kept together. What could not be
    measured is None and takes no part, and `because` says so: without a placebo there is no net
    and no contrast; where no passed case was asked there is no net and no gain. The share of FAIL
    rescued beyond what the base asked again rescues must then be above 0 as well.
    """
    again, rivals = _again(base), _rivals(tried)
    fails = _asked(base.fails, tried.passed, *(rivals or [again]))
    kept = _asked(base.passes, tried.passed)
    net = _least([_total(base, tried.passed, rival) for rival in rivals])
    gain = _total(base, tried.passed, again)
    asked_of = rivals if fails else []
    contrasts = [_rounded(_contrast(base, fails, tried.passed, rival)) for rival in asked_of]
    contrast = _least(contrasts)
    beyond = _paired(base, _asked(fails, again), tried.passed, again)
    rescue, other = _share(fails, tried.passed), None
    if contrast is not None:
        other = _share(fails, rivals[contrasts.index(contrast)])
    needed = [net, gain, contrast] + ([beyond] if gain is None or contrast is None else [])
    told = other is None or other <= GUESSED
    acts = (
        bool(fails)
        and told
        and not tried.unproved
        and all(one.low > 0 for one in needed if one is not None)
    )
    found = Effect(
        name=tried.name,
        remedy=tried.remedy,
        placebo=tried.placebo,
        n_fail=len(fails),
        n_pass=len(kept),
        rescue=rescue,
        placebo_rescue=other,
        harm=None if (passed := _share(kept, tried.passed)) is None else round(1 - passed, 6),
        net=net,
        gain=gain,
        contrast=contrast,
        corrected=_corrected(contrast, other),
        acts=acts,
        rescued=() if tried.unproved else saved(fails, tried.passed, _versus(base, tried)),
    )
    return found.model_copy(update={"because": _because(found, tried, _share(fails, again))})


def saved(fails: Iterable[str], passed: Passed, versus: Passed) -> tuple[str, ...]:
    """Return the failed cases that pass now and not beside what the remedy is compared with."""
    return tuple(case for case in fails if passed[case] and versus[case] < FAILS)


def asked(base: Base, tried: Intervention) -> frozenset[str]:
    """Return the failed cases of which it is known whether the remedy rescues them.

    Without its placebo that is known of those alone that it fails.
    """
    if tried.unproved:
        return frozenset(case for case in base.fails if tried.passed.get(case) is False)
    return frozenset(_asked(base.fails, tried.passed, _versus(base, tried)))


def both(base: Base, tried: Intervention) -> frozenset[str]:
    """Return the failed cases that pass with the remedy and beside it as well."""
    versus = _versus(base, tried)
    fails = _asked(base.fails, tried.passed, versus)
    return frozenset(case for case in fails if tried.passed[case] and versus[case] >= FAILS)


def _rivals(tried: Intervention) -> list[Passed]:
    """Return what the remedy must beat: its placebo, and the prompt that it stands on."""
    return [rival for rival in (tried.placebo_passed, tried.alone) if rival]


def _versus(base: Base, tried: Intervention) -> Passed:
    """Return by case how often any rival passes it; without one, the base asked again."""
    rivals = _rivals(tried)
    if not rivals:
        return _again(base)
    shared = set(rivals[0]).intersection(*rivals)
    return {case: max(rival[case] for rival in rivals) for case in shared}


def _least(found: Sequence[Interval | None]) -> Interval | None:
    """Return the interval with the smallest lower end, None where there is none."""
    return min((one for one in found if one), key=lambda one: one.low, default=None)


def interval(base: Base, cases: Iterable[str], within: Iterable[str], level: float) -> Interval:
    """Return the share of `cases` among `within`, two-sided at `level`.

    Clopper-Pearson, wider where cases belong together (see stats.bounds.mean_interval). Raises
    ValueError for an empty `within`.
    """
    hit, ids = set(cases), sorted(within)
    groups = [base.groups.get(i) for i in ids]
    mean, low, high = bounds.mean_interval([float(i in hit) for i in ids], level, groups)
    return _rounded(Interval(mean=mean, low=low, high=high))


def _again(base: Base) -> Passed:
    """Return how the base does when asked once more: as before where that changes nothing."""
    if base.rerun:
        return {case: float(passed) for case, passed in base.rerun.items()}
    return dict.fromkeys(base.fails, 0.0) | dict.fromkeys(base.passes, 1.0)


def _asked(cases: Iterable[str], *columns: Passed) -> list[str]:
    return sorted(case for case in cases if all(case in column for column in columns))


def _share(cases: Sequence[str], column: Passed | None) -> float | None:
    if column is None or not all(case in column for case in cases):
        return None
    return round(float(np.mean([float(column[case]) for case in cases])), 6) if cases else None


def _total(base: Base, one: Passed, other: Passed) -> Interval | None:
    """Return passes under one minus passes under the other, scaled to all cases."""
    lost, kept = _asked(base.fails, one, other), _asked(base.passes, one, other)
    if bool(lost) < bool(base.fails) or bool(kept) < bool(base.passes):
        return None
    if len(lost) + len(kept) == len(base.fails) + len(base.passes):
        both = _paired(base, [*lost, *kept], one, other)
        return _rounded(_scaled(both, len(lost) + len(kept)))
    parts = [
        _scaled(_paired(base, part, one, other, few=0), len(whole))
        for part, whole in ((lost, base.fails), (kept, base.passes))
        if part
    ]
    mean = sum(part.mean for part in parts)
    below = sqrt(sum((part.mean - part.low) ** 2 for part in parts))
    above = sqrt(sum((part.high - part.mean) ** 2 for part in parts))
    return _rounded(Interval(mean=mean, low=mean - below, high=mean + above))


def _paired(
    base: Base, cases: Sequence[str], one: Passed, other: Passed, few: int = FEW
) -> Interval:
    ids = sorted(cases)
    if not ids:
        return Interval(mean=0.0, low=-1.0, high=1.0)
    diffs = np.array([float(one[i]) - float(other[i]) for i in ids])
    bound = bounds.paired(diffs, LEVEL / 2, groups=[base.groups.get(i) for i in ids], few=few)
    return Interval(mean=bound.mean, low=bound.low, high=bound.high)


def _contrast(base: Base, fails: Sequence[str], one: Passed, other: Passed) -> Interval:
    """Return the share rescued beyond a rival, its low end above 0 where the exact test says so.

    Below ten differing cases the bound of two shares is too wide to ever tell 6 of 12 from none.
    McNemar's exact test rejects every difference up to 0 at the same level, so those leave the
    interval (which may be read off another test at every value). Not where cases belong together.
    """
    found = _paired(base, fails, one, other)
    diffs = [float(one[i]) - float(other[i]) for i in fails]
    wins, losses = (sum(sign * d == 1 for d in diffs) for sign in (1, -1))
    plain = all(d in (-1, 0, 1) for d in diffs) and not any(i in base.groups for i in fails)
    if found.low > 0 or not plain or not 0 < wins + losses < FEW:
        return found
    chance = float(binom.sf(wins - 1, wins + losses, 0.5))
    return found.model_copy(update={"low": LEAST}) if chance <= LEVEL / 2 else found


def _scaled(share: Interval, n: int) -> Interval:
    return Interval(mean=n * share.mean, low=n * share.low, high=n * share.high)


def _rounded(one: Interval) -> Interval:
    mean, low, high = (round(float(value), 9) for value in (one.mean, one.low, one.high))
    return Interval(mean=mean, low=low, high=high)


def _corrected(contrast: Interval | None, other: float | None) -> float | None:
    """Return (resc(I) - resc(I0)) / (1 - resc(I0)): what is rescued of what guessing leaves."""
    if contrast is None or other is None or other > GUESSED:
        return None
    return round(contrast.mean / (1 - other), 6)


def _because(found: Effect, tried: Intervention, again: float | None) -> str:
    """Return in plain words why it does not act, or what its acting does not rest on."""
    gaps = _gaps(found, tried)
    if found.acts:
        return gaps
    if not found.n_fail:
        return tried.because or "it was asked of no failed case"
    what = _why_not(found, tried.placebo or "its placebo", again)
    return f"{what}; {gaps}" if gaps else what


def _gaps(found: Effect, tried: Intervention) -> str:
    """Return what was not measured, and so is not asked for."""
    gaps = []
    if found.contrast is None:
        why = f" ({tried.because})" if tried.because else ""
        gaps.append(f"it has no placebo{why}, so gain and rescue alone decide")
    if found.gain is None:
        gaps.append("no passed case was asked, so what it harms is not known")
    elif found.net is None and found.contrast is not None:
        gaps.append("no passed case was asked of its placebo, so gain and rescue decide")
    return "; ".join(gaps)


def _why_not(found: Effect, placebo: str, again: float | None) -> str:
    n, share = found.n_fail, found.rescue or 0.0
    said = f"rescues {_count(share, n)} of {n}"
    if share == 0:
        return f"rescues none of {n}"
    if found.placebo_rescue is not None:
        said += f", {placebo} {_count(found.placebo_rescue, n)}"
        if found.placebo_rescue > GUESSED:
            return f"{said}: guessing alone does so, so nothing can be told"
        if found.contrast is not None and found.contrast.low <= 0:
            more = found.contrast.mean > 0 and "not shown to be more than its placebo"
            return f"{said}: {more or 'no more than its placebo'}"
    if again:
        said += f", the base asked again {_count(again, n)}"
    if found.harm:
        said += f", and fails {_count(found.harm, found.n_pass)} of {found.n_pass} passed cases"
    return f"{said}: no gain is shown"


def _count(share: float, n: int) -> str:
    """Return a share as a number of cases; draws of a placebo may leave a fraction."""
    return f"{share * n:.1f}".removesuffix(".0")
