"""Assign every failed case a cause or class from the effects of the remedies, with shares. Pure.

1. A case's cause is the cheapest acting remedy that rescues it while its placebo does not. Real
   retrieval repairs the same fault as the gold passage, so both find `knowledge`.
2. Relations on the task come next (see `effects.Relation`). `retrieval`: the gold passage acts,
   and real retrieval rescues less than half of the cases that it rescues; these cases of
   `knowledge` are renamed `retrieval`. `label`: nothing acts and many failures have labels that
   contradict others. `reading`: the answers are in the passages, and the gold passage is shown to
   help less than a quarter. The last two take only cases that no acting remedy rescues; the rest
   is `hard`.
3. Two classes are not causes. `chance`: an acting remedy and its placebo both rescue the case, and
   nothing else does. `untried`: a remedy that may rescue it was not tried on it (see
   `failure_classes`). With these every failed case has one class, and the shares add up to
   1. Their Clopper-Pearson intervals allow an untried case every cause it was not tried for.
4. Few failures (40 or fewer; below 60 if nothing acts): the row `few` comes first and holds for all
   of them. From 8 failures on the most likely causes follow, by the same rules without the test
   that a remedy acts; below 8 the accuracy of this was never measured. The same applies if nothing
   acts and a remedy that passes more than the base was compared with its placebo on fewer than 60
   failures (no time for more): then `n` of that row counts those.

Causes are sorted by their estimates, ties to the cheaper one; `chance` and `untried` come last. If
everything was tried the estimates are the shares. A remedy that was tried on part of the failures
(a pilot on one fold) leaves the other cases out of its estimate: from there on a share is that
among the tried cases times the share of failures that reached this step. This assumes that the
selection of tried cases does not depend on the cause. The interval is the product of the exact
bounds of these shares, with the error split evenly (Bonferroni), so it is conservative. Certain
knowledge of the other cases limits an estimate: the arm itself may fail cases that its pilot was
not tried on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod
from typing import NamedTuple

from tuneworthy.explain.effects import (
    TriedEffect,
    effect,
    labels_fail,
    passed_by_both,
    reading_fails,
    retrieval_fails,
    share_interval,
)
from tuneworthy.explain.failure_classes import (
    CaseIds,
    FailureClass,
    RemedyStep,
    UnrescuedCases,
    failure_classes,
    remedies_by_cause,
)
from tuneworthy.records.causes import (
    NO_CAUSES,
    REMEDIES,
    BaseOutcomes,
    Cause,
    Diagnosis,
    Effect,
    Intervention,
    RemedyOverlap,
    UntriedRemedy,
)
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.verdict import Wrong

FEW_FAILURES, FEW_IF_NONE_ACTS, LEAST_FAILURES = 40, 60, 8
CAUSES: tuple[Cause, ...] = (
    "metric", "format", "convention", "knowledge", "retrieval", "reading", "latent", "capability",
    "learnable", "label", "hard", "chance", "untried", "few",
)  # fmt: skip
_NO_REMEDY_TRIED = "no remedy was tried on the failed cases: what is wrong was not measured"


class _CauseEstimate(NamedTuple):
    """The `cases` of one cause, `tried_cases` those that its remedy was tried on.

    `before`: the (kept, all) cases of each earlier step that left out untried cases.
    """

    cause: Cause
    cases: CaseIds
    tried_cases: CaseIds
    before: tuple[tuple[CaseIds, CaseIds], ...]
    name: str | None = None
    placebo: str | None = None


class _Attribution(NamedTuple):
    """Estimated causes, the class of each failed case, untried remedies, sentences."""

    estimates: list[_CauseEstimate]
    classes: list[FailureClass]
    untried: tuple[UntriedRemedy, ...]
    sentences: list[str]


def diagnose(base: BaseOutcomes, interventions: Sequence[Intervention]) -> Diagnosis:
    """Return the diagnosis: causes of the base arm's failures, from interventions tried on them.

    The order of cases and interventions has no effect. Without failed cases or interventions there
    is no cause, and `because` says why. The module docstring has the rules; `effects.effect`
    defines when an intervention acts.
    """
    return attribute_causes(
        base, interventions, [effect(base, intervention) for intervention in interventions]
    )


def attribute_causes(
    base: BaseOutcomes, interventions: Sequence[Intervention], effects: Sequence[Effect]
) -> Diagnosis:
    """Return the diagnosis from the effects of the interventions (one each, in the same order).

    Separate from `diagnose` so that another rule for `acts` can be evaluated.
    """
    pairs = sorted(
        zip(interventions, effects, strict=True),
        key=lambda pair: (REMEDIES.index(pair[1].remedy), pair[1].name),
    )
    ranked = tuple(item for _, item in pairs)
    blank = Diagnosis(arm=base.arm, n_fail=len(base.fails), n_pass=len(base.passes), effects=ranked)
    if not base.fails:
        return blank.model_copy(update={"because": "nothing fails: there is no cause to seek"})
    if not pairs:
        return blank.model_copy(update={"because": _NO_REMEDY_TRIED})
    why_unread = _why_unread(pairs, base.recorded)
    acting = any(item.acts for item in ranked)
    n_read = _failures_compared(base, pairs)
    few = len(base.fails) <= FEW_FAILURES or (not acting and n_read < FEW_IF_NONE_ACTS)
    attribution = _classify_failures(base, pairs, few, hard=not why_unread)
    rows, estimates = _wrong_rows(base, attribution)
    tiny, silent = len(base.fails) < LEAST_FAILURES, all(row.cause in NO_CAUSES for row in rows)
    named = not tiny and not (silent and why_unread)
    wrong = rows if named else []
    names = (
        {case: item.cause for item in attribution.classes for case in item.cases} if named else {}
    )
    if few and (wrong or not why_unread):
        wrong = [_few_row(n_read), *wrong]
        names = dict.fromkeys(base.fails, "few")
    return blank.model_copy(
        update={
            "wrong": tuple(wrong),
            "cause": dict(sorted(names.items())),
            "untried": attribution.untried if wrong and not tiny else (),
            "estimates": tuple(estimates) if named else (),
            "overlap": tuple(_remedy_overlaps(ranked)),
            "few": few,
            "said": tuple(attribution.sentences),
            "because": _why_unread(pairs, base.recorded, "the other causes")
            if wrong
            else why_unread,
            "unread": bool(why_unread) and not wrong and any(item.n_fail for item in ranked),
        }
    )


def _failures_compared(base: BaseOutcomes, pairs: Sequence[TriedEffect]) -> int:
    """Return how many failures decide on causes: all, or the fewest that an open remedy was run on.

    A remedy is open if it passes more than the base and is not shown to beat its placebo. Below 60
    failures the count is that of all failures.
    """
    if len(base.fails) < FEW_IF_NONE_ACTS:
        return len(base.fails)
    open_sizes = [
        result.n_fail
        for tried, result in pairs
        if tried.asks and result.n_fail and result.placebo and not result.acts
        if result.gain and result.gain.low > 0
    ]
    return min([len(base.fails), *open_sizes])


def _why_unread(pairs: Sequence[TriedEffect], recorded: bool, what: str = "the causes") -> str:
    """Return why causes are unknown if no remedy called a model on a failed case, else ""."""
    if any(tried.asks and result.n_fail for tried, result in pairs):
        return ""
    names = " and ".join(result.name for _, result in pairs if result.n_fail)
    if not names:
        return _NO_REMEDY_TRIED
    why = " (recorded answers can't be asked again)" if recorded else ""
    return (
        f"{what} are not known: only {names} could be tried; no remedy that asks a model was"
        f" run{why}"
    )


def _classify_failures(
    base: BaseOutcomes, pairs: Sequence[TriedEffect], few: bool, hard: bool
) -> _Attribution:
    """Return each failed case's class, estimated cause shares, untried remedies and sentences.

    Only acting remedies count; with few failures, all whose placebo (if any) was run. `hard`: a
    remedy called a model, so unrescued cases may be called `hard`.
    """
    used = [(tried, item) for tried, item in pairs if item.acts or (few and not tried.because)]
    unused = [pair for pair in pairs if pair not in used]
    steps = remedies_by_cause(base, used)
    estimates, rest_cases = _estimate_by_remedy(base, steps)
    retrieval, reading_relation = retrieval_fails(base, pairs, few), reading_fails(base, pairs, few)
    labels = labels_fail(base, pairs, few)
    rest = UnrescuedCases(
        label=frozenset(base.conflicts if labels.holds else ()),
        reading=frozenset((base.literal or ()) if reading_relation.holds else ()),
        chance=_chance_cases(base, pairs),
        model_was_called=hard,
    )
    classes_, untried = failure_classes(base, steps, unused, rest)
    label = rest_cases.cases & rest.label
    reading = (rest_cases.cases & rest.reading) - label
    nothing = rest_cases.cases - label - reading - rest.chance if hard else frozenset()
    ends: list[tuple[Cause, CaseIds]] = [("label", label), ("reading", reading), ("hard", nothing)]
    estimates += [rest_cases._replace(cause=cause, cases=cases) for cause, cases in ends]
    if retrieval.holds:
        estimates = [item._replace(cause=_as_retrieval(item.cause)) for item in estimates]
        classes_ = [item._replace(cause=_as_retrieval(item.cause)) for item in classes_]
    sentences = [
        item
        for item in (
            retrieval.sentence,
            reading_relation.sentence,
            labels.sentence,
            _chance_sentence(base, classes_),
        )
        if item
    ]
    return _Attribution(estimates, classes_, untried, sentences)


def _as_retrieval(cause: Cause) -> Cause:
    """Return "retrieval" for "knowledge", any other cause unchanged."""
    return "retrieval" if cause == "knowledge" else cause


def _chance_cases(base: BaseOutcomes, pairs: Sequence[TriedEffect]) -> CaseIds:
    """Return ids of failed cases that pass with an acting remedy and under a rival of it."""
    return frozenset().union(
        *(passed_by_both(base, tried) for tried, result in pairs if result.acts)
    )


def _chance_sentence(base: BaseOutcomes, classes_: Sequence[FailureClass]) -> str:
    """Return a sentence on the cases that chance may have rescued, "" if there are none."""
    n = next((len(class_.cases) for class_ in classes_ if class_.cause == "chance"), 0)
    sentence = f"{n} of {len(base.fails)} failures pass with a remedy and with its placebo too"
    return f"{sentence}: chance may be why, so they have no cause" if n else ""


def _estimate_by_remedy(
    base: BaseOutcomes, steps: Sequence[RemedyStep]
) -> tuple[list[_CauseEstimate], _CauseEstimate]:
    """Return (an estimate for each remedy, cheapest first; the cases that none rescues).

    If a remedy was tried on only part of the remaining cases, the others drop out and `before`
    records the share that is kept. A remedy that was tried on none of them is skipped.
    """
    pool = within = frozenset(base.fails)
    before: tuple[tuple[CaseIds, CaseIds], ...] = ()
    estimates = []
    for step in steps:
        tried = pool & step.asked
        if not tried:
            continue
        if tried < pool:
            before, pool, within = (*before, (pool, within)), tried, tried
        rescued = pool & step.rescued
        estimates.append(
            _CauseEstimate(step.cause, rescued, within, before, step.name, step.placebo)
        )
        pool -= rescued
    return estimates, _CauseEstimate("hard", pool, within, before)


def _wrong_rows(base: BaseOutcomes, attribution: _Attribution) -> tuple[list[Wrong], list[Wrong]]:
    """Return (one row for each class in order; the estimates, [] if every case was tried)."""
    rows = {item.cause: _wrong_row(base, item) for item in attribution.classes}
    by_cause = {item.cause: item for item in attribution.classes}
    estimates = {
        item.cause: _clipped_estimate(base, _estimated_share(base, item), by_cause[item.cause])
        for item in attribution.estimates
        if item.cause in by_cause
    }

    def key(cause: Cause) -> tuple[bool, float, int]:
        item = estimates.get(cause, rows[cause])
        return cause in NO_CAUSES, -item.share if cause in estimates else 0.0, CAUSES.index(cause)

    order = sorted(by_cause, key=key)
    listed = [estimates[cause] for cause in order if cause in estimates]
    return [rows[cause] for cause in order], listed if "untried" in by_cause else []


def _wrong_row(base: BaseOutcomes, class_: FailureClass) -> Wrong:
    """Return a class as a row: its share of all failures; bounds allow for untried cases."""
    least = share_interval(base, class_.cases, base.fails, ALPHA)
    most = (
        share_interval(base, class_.cases | class_.most, base.fails, ALPHA)
        if class_.most
        else least
    )
    exact = class_.cause == "untried"  # a fact about this study, so it has no sampling error
    return Wrong(
        cause=class_.cause,
        share=least.mean,
        low=least.mean if exact else least.low,
        high=least.mean if exact else most.high,
        n=len(base.fails),
        arm=class_.name,
        placebo=class_.placebo,
    )


def _clipped_estimate(base: BaseOutcomes, estimate: Wrong, known: FailureClass) -> Wrong:
    """Return an estimate clipped to what the known and the possible cases of its cause allow."""
    least, most = len(known.cases), len(known.cases | known.most)
    share = round(min(max(estimate.share, least / len(base.fails)), most / len(base.fails)), 9)
    return estimate.model_copy(
        update={"share": share, "low": min(estimate.low, share), "high": max(estimate.high, share)}
    )


def _estimated_share(base: BaseOutcomes, estimate: _CauseEstimate) -> Wrong:
    links = [*estimate.before, (estimate.cases, estimate.tried_cases)]
    parts = [share_interval(base, cases, within, ALPHA / len(links)) for cases, within in links]
    return Wrong(
        cause=estimate.cause,
        share=round(prod(part.mean for part in parts), 9),
        low=round(prod(part.low for part in parts), 9),
        high=round(prod(part.high for part in parts), 9),
        n=len(estimate.tried_cases),
        arm=estimate.name,
        placebo=estimate.placebo,
    )


def _few_row(n: int) -> Wrong:
    """Return the row of cause "few": it covers all failures, of which `n` were compared."""
    return Wrong(cause="few", share=1.0, low=1.0, high=1.0, n=n, arm=None, placebo=None)


def _remedy_overlaps(effects: Sequence[Effect]) -> list[RemedyOverlap]:
    """Return, for each two interventions, how many failed cases both rescue; 0 is left out."""
    return [
        RemedyOverlap(one=one.name, other=other.name, both=n_shared)
        for one, other in combinations(effects, 2)
        if (n_shared := len(set(one.rescued) & set(other.rescued)))
    ]
