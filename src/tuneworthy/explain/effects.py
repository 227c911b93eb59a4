"""Test the effect of a remedy against its placebo, and relations between remedies. Pure.

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
from typing import NamedTuple

import numpy as np

from tuneworthy.matrix.design import Design
from tuneworthy.records.causes import BaseOutcomes, Effect, Intervention, Remedy
from tuneworthy.records.interval import ALPHA, Interval

_MOST_GUESSED_SHARE = 0.95

"""No effect can be shown if the placebo passes more than this share of the failures."""

_PASSED_SHARE = 0.5

"""A placebo fails a case if it passes in less than this share of its draws."""

_PassShares = Mapping[str, float]


def effect(base: BaseOutcomes, tried: Intervention) -> Effect:
    """Return the effect of an intervention and whether it acts: net, gain and contrast all above 0.

    Each lower end is that of a two-sided 95 % interval, clustered by group. A figure that could not
    be measured is None and is not required: a placebo asked of failed cases alone has no net, and
    without a placebo there is no contrast either; if no passed case was run there is no gain. If
    gain or contrast is None the share of FAIL rescued beyond a rerun of the base must be above 0.
    """
    rerun, rivals = _rerun_shares(base), _shares_to_beat(tried)
    fails = _cases_in_all(base.fails, tried.passed, *(rivals or [rerun]))
    passes = _cases_in_all(base.passes, tried.passed)
    net = _lowest_interval([_net_passes(base, tried.passed, rival) for rival in rivals])
    gain = _net_passes(base, tried.passed, rerun)
    compared = rivals if fails else []
    contrasts = [
        _rounded_interval(_rescue_contrast(base, fails, tried.passed, rival)) for rival in compared
    ]
    contrast = _lowest_interval(contrasts)
    beyond = _paired_interval(base, _cases_in_all(fails, rerun), tried.passed, rerun)
    rescue, placebo_share = _mean_pass_share(fails, tried.passed), None
    if contrast is not None:
        placebo_share = _mean_pass_share(fails, rivals[contrasts.index(contrast)])
    required = [net, gain, contrast] + ([beyond] if gain is None or contrast is None else [])
    informative = placebo_share is None or placebo_share <= _MOST_GUESSED_SHARE
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
        harm=None
        if (passed := _mean_pass_share(passes, tried.passed)) is None
        else round(1 - passed, 6),
        net=net,
        gain=gain,
        contrast=contrast,
        corrected=_corrected_for_guessing(contrast, placebo_share),
        acts=acts,
        rescued=()
        if tried.unproved
        else rescued_cases(fails, tried.passed, _best_rival(base, tried)),
    )
    return result.model_copy(
        update={"because": _effect_reason(result, tried, _mean_pass_share(fails, rerun))}
    )


def rescued_cases(
    fails: Iterable[str], passed: _PassShares, versus: _PassShares
) -> tuple[str, ...]:
    """Return the ids in `fails` that pass under the remedy, but in under half of rivals' draws."""
    return tuple(case for case in fails if passed[case] and versus[case] < _PASSED_SHARE)


def decided_cases(base: BaseOutcomes, tried: Intervention) -> frozenset[str]:
    """Return ids of failed cases for which it is known whether the remedy rescues them.

    If the placebo was not run, these are only the cases that the remedy fails.
    """
    if tried.unproved:
        return frozenset(case for case in base.fails if tried.passed.get(case) is False)
    return frozenset(_cases_in_all(base.fails, tried.passed, _best_rival(base, tried)))


def passed_by_both(base: BaseOutcomes, tried: Intervention) -> frozenset[str]:
    """Return ids of failed cases that a rival passes as the remedy does: no rescue is shown."""
    versus = _best_rival(base, tried)
    fails = _cases_in_all(base.fails, tried.passed, versus)
    return frozenset(case for case in fails if tried.passed[case] and versus[case] >= _PASSED_SHARE)


def _shares_to_beat(tried: Intervention) -> list[_PassShares]:
    """Return a remedy's rivals as {case id: pass share} each: its placebo, its prompt alone."""
    return [rival for rival in (tried.placebo_passed, tried.alone) if rival]


def _best_rival(base: BaseOutcomes, tried: Intervention) -> _PassShares:
    """Return {case id: highest pass share of a rival}; without rivals, of the rerun base."""
    rivals = _shares_to_beat(tried)
    if not rivals:
        return _rerun_shares(base)
    shared = set(rivals[0]).intersection(*rivals)
    return {case: max(rival[case] for rival in rivals) for case in shared}


def _lowest_interval(intervals: Sequence[Interval | None]) -> Interval | None:
    """Return the interval with the smallest lower end; None if all are None."""
    return min(
        (interval_ for interval_ in intervals if interval_),
        key=lambda interval_: interval_.low,
        default=None,
    )


def share_interval(
    base: BaseOutcomes, cases: Iterable[str], within: Iterable[str], level: float
) -> Interval:
    """Return the share of ids `within` that are in `cases`, with a two-sided interval at `level`.

    Raises ValueError for an empty `within`.
    """
    hit = set(cases)
    mean, low, high = _design_of_base(base).mean({i: i in hit for i in sorted(within)}, level)
    return _rounded_interval(Interval(mean=mean, low=low, high=high))


def _design_of_base(base: BaseOutcomes) -> Design:
    return Design(base.groups, base.largest_group, base.only_copies)


def _rerun_shares(base: BaseOutcomes) -> _PassShares:
    """Return {case id: 1 if the base's rerun passes, else 0}; its first run if not rerun."""
    if base.rerun:
        return {case: float(passed) for case, passed in base.rerun.items()}
    return dict.fromkeys(base.fails, 0.0) | dict.fromkeys(base.passes, 1.0)


def _cases_in_all(cases: Iterable[str], *columns: _PassShares) -> list[str]:
    return sorted(case for case in cases if all(case in column for column in columns))


def _mean_pass_share(cases: Sequence[str], column: _PassShares | None) -> float | None:
    if column is None or not all(case in column for case in cases):
        return None
    return round(float(np.mean([float(column[case]) for case in cases])), 6) if cases else None


def _net_passes(base: BaseOutcomes, one: _PassShares, other: _PassShares) -> Interval | None:
    """Return passes under `one` - passes under `other`, scaled to all cases; None if unmeasured."""
    fails, passes = _cases_in_all(base.fails, one, other), _cases_in_all(base.passes, one, other)
    if bool(fails) < bool(base.fails) or bool(passes) < bool(base.passes):
        return None
    if len(fails) + len(passes) == len(base.fails) + len(base.passes):
        difference = _paired_interval(base, [*fails, *passes], one, other)
        return _rounded_interval(_scaled_interval(difference, len(fails) + len(passes)))
    parts = [
        _scaled_interval(
            _paired_interval(base, part, one, other, part_of_sum=True), len(population)
        )
        for part, population in ((fails, base.fails), (passes, base.passes))
        if part
    ]
    mean = sum(part.mean for part in parts)
    below = sqrt(sum((part.mean - part.low) ** 2 for part in parts))
    above = sqrt(sum((part.high - part.mean) ** 2 for part in parts))
    return _rounded_interval(Interval(mean=mean, low=mean - below, high=mean + above))


def _paired_interval(
    base: BaseOutcomes,
    cases: Sequence[str],
    one: _PassShares,
    other: _PassShares,
    part_of_sum: bool = False,
) -> Interval:
    diffs = {i: float(one[i]) - float(other[i]) for i in sorted(cases)}
    if not diffs:
        return Interval(mean=0.0, low=-1.0, high=1.0)
    bound = _design_of_base(base).difference(diffs, ALPHA / 2, part_of_sum=part_of_sum)
    return Interval(mean=bound.mean, low=bound.low, high=bound.high)


def _rescue_contrast(
    base: BaseOutcomes, fails: Sequence[str], one: _PassShares, other: _PassShares
) -> Interval:
    """Return share of `fails` passing under `one` - under `other`; 0 (-1 to 1) for no case."""
    diffs = {i: float(one[i]) - float(other[i]) for i in sorted(fails)}
    if not diffs:
        return Interval(mean=0.0, low=-1.0, high=1.0)
    bound = _design_of_base(base).contrast(diffs, ALPHA / 2)
    return Interval(mean=bound.mean, low=bound.low, high=bound.high)


def _scaled_interval(share: Interval, n: int) -> Interval:
    return Interval(mean=n * share.mean, low=n * share.low, high=n * share.high)


def _rounded_interval(interval_: Interval) -> Interval:
    mean, low, high = (
        round(float(value), 9) for value in (interval_.mean, interval_.low, interval_.high)
    )
    return Interval(mean=mean, low=low, high=high)


def _corrected_for_guessing(contrast: Interval | None, placebo_share: float | None) -> float | None:
    """Return the rescue rate corrected for guessing: (resc(I) - resc(I0)) / (1 - resc(I0))."""
    if contrast is None or placebo_share is None or placebo_share > _MOST_GUESSED_SHARE:
        return None
    return round(contrast.mean / (1 - placebo_share), 6)


def _effect_reason(result: Effect, tried: Intervention, rerun: float | None) -> str:
    """Return why a remedy does not act; if it does, what was not measured ("" if nothing)."""
    gaps = _unmeasured_text(result, tried)
    if result.acts:
        return gaps
    if not result.n_fail:
        return tried.because or "it was asked of no failed case"
    reason = _why_no_effect(result, tried.placebo or "its placebo", rerun)
    return f"{reason}; {gaps}" if gaps else reason


def _unmeasured_text(result: Effect, tried: Intervention) -> str:
    """Return a text on the required figures that were not measured, "" if all were."""
    gaps = []
    if result.contrast is None:
        why = f" ({tried.because})" if tried.because else ""
        gaps.append(f"it has no placebo{why}, so gain and rescue alone decide")
    if result.gain is None:
        gaps.append("no passed case was asked, so what it harms is not known")
    return "; ".join(gaps)


def _why_no_effect(result: Effect, placebo: str, rerun: float | None) -> str:
    n, share = result.n_fail, result.rescue or 0.0
    text = f"rescues {_cases_text(share, n)} of {n}"
    if share == 0:
        return f"rescues none of {n}"
    if result.placebo_rescue is not None:
        text += f", {placebo} {_cases_text(result.placebo_rescue, n)}"
        if result.placebo_rescue > _MOST_GUESSED_SHARE:
            return f"{text}: guessing alone does so, so nothing can be told"
        if result.contrast is not None and result.contrast.low <= 0:
            more = result.contrast.mean > 0 and "not shown to be more than its placebo"
            return f"{text}: {more or 'no more than its placebo'}"
    if rerun:
        text += f", the base asked again {_cases_text(rerun, n)}"
    if result.harm:
        text += (
            f", and fails {_cases_text(result.harm, result.n_pass)} of {result.n_pass} passed cases"
        )
    return f"{text}: no gain is shown"


def _cases_text(share: float, n: int) -> str:
    """Return `share * n` cases as text: `12`, or `4.5` for a placebo of several draws."""
    return f"{share * n:.1f}".removesuffix(".0")


_LEAST_SHARE_IN_PASSAGE = 0.8  # the least share of failures with their answer in the passage

HALF, QUARTER = 0.5, 0.25  # shares of rescued cases below which retrieval, or reading, fails

TriedEffect = tuple[Intervention, Effect]


class Relation(NamedTuple):
    """Whether a relation between remedies holds, and a sentence for the user (or "")."""

    holds: bool
    sentence: str = ""


def retrieval_fails(base: BaseOutcomes, pairs: Sequence[TriedEffect], few: bool) -> Relation:
    """Return whether retrieval fails, with a sentence: it rescues under half of what gold does.

    The gold passage must act. On the cases that it rescues, the 95 % upper end of real retrieval's
    rescue share must be below 1/2; of several retrievers the best counts.
    """
    gold = [effect for _, effect in _effects_of_remedy(pairs, "knowledge") if effect.acts or few]
    rescued = frozenset().union(*(effect.rescued for effect in gold))
    if not rescued:
        return Relation(False)
    shares = []
    for tried, _ in _effects_of_remedy(pairs, "retrieval"):
        tried_cases = [case for case in rescued if case in tried.passed]
        if tried_cases:
            helped = [case for case in tried_cases if tried.passed[case]]
            shares.append(
                (share_interval(base, helped, tried_cases, ALPHA), len(helped), len(tried_cases))
            )
    if not shares:
        return Relation(False, "real retrieval was not tried where the gold passage helps")
    best, helped_count, n = max(shares, key=lambda effect: (effect[0].mean, effect[2]))
    sentence = f"real retrieval rescues {helped_count} of {n} cases that the gold passage rescues"
    if (best.mean if few else best.high) < HALF:
        return Relation(True, f"{sentence}: less than half, so the passages are not found")
    return Relation(False, sentence)


def reading_fails(base: BaseOutcomes, pairs: Sequence[TriedEffect], few: bool) -> Relation:
    """Return whether reading fails, with a sentence: passages hold the answer, but don't help.

    At least 80 % of the failures must have their answer in the passage word for word. The gold
    passage must have been tried and be shown to rescue less than a quarter of them beyond its
    rivals. That it is not shown to act is not enough, since cases may be few or it may harm others;
    and if it acts on a few cases, the others still have their answer in the passage.
    """
    if base.literal is None:
        return Relation(False)
    in_passage, n = len(set(base.literal) & set(base.fails)), len(base.fails)
    sentence = f"the answer stands word for word in the passage of {in_passage} of {n} failures"
    tried = [effect for _, effect in _effects_of_remedy(pairs, "knowledge") if effect.n_fail]
    if not tried or in_passage < _LEAST_SHARE_IN_PASSAGE * n:
        return Relation(False, sentence)
    rescue_shares = [
        effect.contrast.mean if few else effect.contrast.high for effect in tried if effect.contrast
    ]
    if max(rescue_shares, default=0.0) >= QUARTER:
        return Relation(False, sentence)
    if any(effect.acts for effect in tried):
        more = f"is shown to help less than {QUARTER:.0%} of them: most are not read"
    else:
        more = "is not shown to help: it is not read"
    return Relation(True, f"{sentence}, and the gold passage {more}")


def labels_fail(base: BaseOutcomes, pairs: Sequence[TriedEffect], few: bool) -> Relation:
    """Return whether labels are wrong, with a sentence: no remedy acts, like cases contradict.

    That is the labels of a share of at least `margin` of all cases. With `few` remedies may act.
    """
    n, total = len(set(base.conflicts) & set(base.fails)), len(base.fails) + len(base.passes)
    if not n:
        return Relation(False)
    sentence = f"the labels of {n} failures contradict those of like cases"
    acting = any(effect.acts for _, effect in pairs)
    return Relation((few or not acting) and n >= base.margin * total, sentence)


def _effects_of_remedy(pairs: Sequence[TriedEffect], remedy: Remedy) -> list[TriedEffect]:
    return [pair for pair in pairs if pair[1].remedy == remedy]
