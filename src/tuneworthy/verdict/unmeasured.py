"""Offer to measure arms that had no room: whether the diagnosis suggests them, what it costs.

Knows what an arm may repair (`ArmResult.repairs`), never an arm by its name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

from tuneworthy.records.causes import (
    CAUSES_BY_TOOL,
    Diagnosis,
    Wrong,
    argues_against_training,
    share_of,
)
from tuneworthy.records.counting import percent
from tuneworthy.records.evidence import ArmResult, Evidence, Policy
from tuneworthy.records.verdict import Next
from tuneworthy.verdict.phrases import any_stopped, ticked, why_short
from tuneworthy.verdict.rule import untrained_arms
from tuneworthy.verdict.rungs import ladder_key

_LABEL_MINUTES = 0.5
"""A person's minutes per label: to read an input and write or check its answer."""
LABELS_PER_CLICK = 0.2
"""The effort of one click, in labels: a glance shows which of two answers is better."""
_MACHINE_MINUTE_COST = 0.1
"""Cost of a machine minute as a share of a person's minute: a person waits for the result but can
do other work meanwhile."""
_LABEL_USD = 0.25
"""Default of economics.label_each, the price of a label in dollars: half a minute of a person at
$30 an hour."""
_LABELS_PER_MODEL = 30.0
"""The effort to pick, get and try another model, in labels: a quarter of an hour."""


@dataclass(frozen=True)
class StepOption:
    """A next step and its cost in labels; `settles`: it settles the verdict with chance >= .5."""

    labels: float
    step: Next
    settles: bool = False


def in_labels(minutes: float | None, usd: float | None, each: float | None) -> float:
    """Return a cost in minutes and dollars as a number of labels that cost `each` dollars.

    Unknown costs count 0: a machine's work is nearly always cheaper than labels.
    """
    return (minutes or 0.0) * _MACHINE_MINUTE_COST / _LABEL_MINUTES + (usd or 0.0) / (
        each or _LABEL_USD
    )


_RESIDUAL_CAUSES: frozenset[str] = frozenset({"reading", "retrieval"})
"""Causes defined by what the measured remedies leave, so another arm for them may do more: a
failure that retrieval finds, or that a trained reader reads, has another cause."""
_NOT_THE_MODEL: frozenset[str] = frozenset({"metric", "label"})
"""Causes that no arm repairs: the score itself is wrong."""


def measure_option(
    evidence: Evidence, policy: Policy, now: ArmResult | None, short: bool
) -> StepOption | None:
    """Return the step of raising the minutes to measure left-out arms that may change a verdict.

    Such an arm may repair a share of the failures large enough to gain the margin. If the diagnosis
    names none, they are all arms of a tool that was not measured at all and the training arms that
    keep the verdict open, except those that the diagnosis speaks against. `now` is the named arm.
    `short`: the target is missed, so any gain counts. None if there is no such arm.
    """
    if not (short or may_gain(evidence, policy, now)):
        return None
    if arm := _best_unmeasured_arm(evidence, policy):
        return _option_to_add_minutes(policy, [arm], _why_measure_clause(evidence, arm))
    tools = {arm.tool for arm in evidence.arms if arm.score}
    wrong, taught = _causes_of_failures(evidence), untrained_arms(evidence, policy.margin)
    left = [
        arm
        for arm in _arms_without_room(evidence)
        if (arm.tool not in tools or arm in taught)
        and not argues_against_training(wrong, arm.repairs)
    ]
    if not left:
        return _all_rows_option(evidence, policy, taught)
    names = ", ".join(ticked(arm) for arm in left)
    return _option_to_add_minutes(policy, left, f"{why_short(left)} measure {names}")


def _all_rows_option(
    evidence: Evidence, policy: Policy, taught: Sequence[ArmResult]
) -> StepOption | None:
    """Return the step of raising the minutes so that an arm learns from all rows, or None."""
    arm = next((arm for arm in taught if arm.whole_minutes is not None), None)
    if arm is None or arm.whole_minutes is None:
        return None
    minutes = ceil(arm.whole_minutes)
    why = (
        f"{ticked(arm)} learnt from {arm.options['rows']:,} of {evidence.train:,} rows for want of"
        f" minutes: `budget: {{minutes: {minutes}}}` leaves nothing out"
    )
    step = Next(do="raise budget.minutes", minutes=minutes, why=why)
    return StepOption(in_labels(minutes, None, policy.label_each), step)


def folds_option(
    evidence: Evidence, policy: Policy, pair: Sequence[ArmResult]
) -> StepOption | None:
    """Return the step of raising the minutes to run an undecided pair's left-out folds, or None.

    The rows are there already, so this comes before labelling others.
    """
    part = [arm for arm in pair if arm.score and arm.n < evidence.n and arm.more_minutes]
    if not part:
        return None
    scored = " and ".join(f"{ticked(arm)} on {arm.n:,}" for arm in part)
    why = f"{why_short(part)} score all {evidence.n:,} rows, {scored}"
    return _option_to_add_minutes(policy, part, why)


def unmeasured_clause(evidence: Evidence, policy: Policy, now: ArmResult | None) -> str:
    """Return a clause on an arm, left out for time, that may beat a firm verdict's arm; or ""."""
    arm = _best_unmeasured_arm(evidence, policy) if may_gain(evidence, policy, now) else None
    return f"; {_why_measure_clause(evidence, arm)}{_minutes_and_command([arm])[1]}" if arm else ""


def may_gain(evidence: Evidence, policy: Policy, now: ArmResult | None) -> bool:
    """Return whether an unmeasured arm could be better than the named one by the margin.

    Not if too little is left to gain, or too few failures that an arm can repair (a wrong label or
    metric is none of these). Under the motive cost an arm need not gain anything.
    """
    if policy.motive == "cost":
        return True
    if now and now.score and 1 - now.score.low < policy.margin:
        return False
    diagnosis = evidence.diagnosis
    if diagnosis is None or not diagnosis.n_fail:
        return True
    lost = sum(row.low for row in diagnosis.wrong if row.cause in _NOT_THE_MODEL)
    room = [1 - arm.score.mean for arm in evidence.arms if arm.name == diagnosis.arm and arm.score]
    # With graded scores a passed row may still leave something to gain.
    return (1 - lost) * max(_failure_share(diagnosis), *room, 0.0) >= policy.margin


def bigger_option(evidence: Evidence, policy: Policy, now: ArmResult | None) -> StepOption | None:
    """Return the option to measure a larger model, None unless the diagnosis suggests one."""
    there = any(arm.tool == "bigger" and arm.score for arm in evidence.arms)
    if there or not may_gain(evidence, policy, now):
        return None
    if _possible_gain(evidence, CAUSES_BY_TOOL["bigger"]) < policy.margin:
        return None
    why = f"{_share_clause(evidence, CAUSES_BY_TOOL['bigger'])} that a larger model may repair"
    why += (
        f"{_causes_clause(evidence, CAUSES_BY_TOOL['bigger'])}, and none is measured (key `bigger`)"
    )
    return StepOption(_LABELS_PER_MODEL, Next(do="measure bigger", rows=evidence.n, why=why))


def _best_unmeasured_arm(evidence: Evidence, policy: Policy) -> ArmResult | None:
    """Return the unmeasured arm that may repair enough failures to gain the margin, or None.

    Of the arms that may repair at least half as much as the best of them, the cheapest.
    """
    left = [
        a
        for a in _arms_without_room(evidence)
        if _possible_gain(evidence, a.repairs) >= policy.margin
    ]
    most = max((_possible_gain(evidence, arm.repairs) for arm in left), default=0.0)

    def cost(arm: ArmResult) -> tuple[bool, float, float, tuple[int, int, str]]:
        labels = in_labels(arm.more_minutes, arm.more_usd, policy.label_each)
        return (
            arm.more_minutes is None,
            labels,
            -_possible_gain(evidence, arm.repairs),
            ladder_key(arm),
        )

    fit = [arm for arm in left if 2 * _possible_gain(evidence, arm.repairs) >= most]
    return min(fit, key=cost, default=None)


def _arms_without_room(evidence: Evidence) -> list[ArmResult]:
    """Return the candidates that were not scored because the minutes had no room."""
    return [arm for arm in evidence.arms if arm.left_out_for_time and arm.role == "candidate"]


def _causes_of_failures(evidence: Evidence) -> tuple[Wrong, ...]:
    return evidence.diagnosis.wrong if evidence.diagnosis else ()


def _uncovered_causes(evidence: Evidence, repairs: Collection[str]) -> frozenset[str]:
    """Return the causes among `repairs` that no measured arm covers yet.

    A cause is found by the arm that repairs it: if that arm was measured on all rows, its score
    includes the repair, and another arm of the kind need not do more.
    """
    done = {
        cause
        for arm in evidence.arms
        if arm.score and arm.role == "candidate"
        for cause in arm.repairs
    }
    return frozenset(repairs) - (done - _RESIDUAL_CAUSES)


def _possible_gain(evidence: Evidence, repairs: Collection[str]) -> float:
    """Return the share of rows whose failure has one of these causes, repaired by no arm yet."""
    diagnosis = evidence.diagnosis
    if diagnosis is None or not diagnosis.n_fail:
        return 0.0
    return share_of(diagnosis.wrong, _uncovered_causes(evidence, repairs)) * _failure_share(
        diagnosis
    )


def _failure_share(diagnosis: Diagnosis) -> float:
    return diagnosis.n_fail / (diagnosis.n_fail + diagnosis.n_pass)


def _why_measure_clause(evidence: Evidence, arm: ArmResult) -> str:
    return (
        f"{_share_clause(evidence, arm.repairs)} that {ticked(arm)} may repair"
        f"{_causes_clause(evidence, arm.repairs)}, and {why_short([arm])} measure it"
    )


def _share_clause(evidence: Evidence, repairs: Collection[str]) -> str:
    """Return a clause such as "91 % of the failures have a cause", for these causes."""
    wrong = _causes_of_failures(evidence)
    few = "as far as so few can show, " if any(row.cause == "few" for row in wrong) else ""
    share = percent(round(share_of(wrong, _uncovered_causes(evidence, repairs)), 2))
    return f"{few}{share} of the failures have a cause"


def _causes_clause(evidence: Evidence, repairs: Collection[str]) -> str:
    """Return these causes in brackets, such as " (reading)", with shares if there are several."""
    rows = [
        row
        for row in _causes_of_failures(evidence)
        if row.cause in _uncovered_causes(evidence, repairs) and row.share
    ]
    if len(rows) == 1:
        return f" ({rows[0].cause})"
    return f" ({', '.join(f'{row.cause} {percent(round(row.share, 2))}' for row in rows)})"


def _minutes_and_command(arms: Sequence[ArmResult]) -> tuple[int | None, str]:
    """Return (minutes to measure these arms, None if unknown; clause with the command).

    Minutes are rounded up, as `run --more` takes whole ones.
    """
    minutes = [arm.more_minutes for arm in arms]
    if any(each is None for each in minutes):
        return None, "; `tuneworthy plan` says what all takes"
    whole = max(1, ceil(sum(each for each in minutes if each is not None)))
    return whole, f": `tuneworthy run{'' if any_stopped(arms) else f' --more {whole}m'}`"


def _option_to_add_minutes(policy: Policy, arms: Sequence[ArmResult], why: str) -> StepOption:
    (minutes, how), prices = _minutes_and_command(arms), [arm.more_usd for arm in arms]
    usd = None if any(one is None for one in prices) else sum(one for one in prices if one)
    do = "finish the run" if any_stopped(arms) else "raise budget.minutes"
    step = Next(do=do, minutes=minutes, usd=usd, why=f"{why}{how}")
    return StepOption(in_labels(minutes, usd, policy.label_each), step)
