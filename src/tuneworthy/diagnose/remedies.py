"""Judge an arm by the diagnosis: which failures it may repair, what speaks against it. Pure.

Used by the verdict's next step and by the stage rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneworthy.core.causes import Wrong, argues_against_training, share_of
from tuneworthy.core.evidence import ArmResult, Evidence
from tuneworthy.core.plan import Plan, PlannedArm
from tuneworthy.core.reason import Why, is_reason
from tuneworthy.core.repairs import repairable_causes
from tuneworthy.core.run import Spec


def repairable_share(spec: Spec, wrong: Sequence[Wrong]) -> float:
    """Return the share of the failures (0 to 1) whose cause this arm may repair."""
    return share_of(wrong, repairable_causes(spec))


def advised_against(spec: Spec, wrong: Sequence[Wrong]) -> bool:
    """Return whether the diagnosis speaks against an arm.

    It does against training without passages if most failures lack a passage or misread one.
    """
    return argues_against_training(wrong, repairable_causes(spec))


def with_minutes(evidence: Evidence, plan: Plan) -> Evidence:
    """Return the evidence with the minutes and dollars needed for each arm that was cut for time.

    An arm without an estimate (0 minutes, nothing sent) keeps None. An arm that learnt from a part
    of the rows gets the minutes of the uncut plan, one that ran on some folds those of the others.
    An arm that the stage rule stopped for its score gets none: more minutes would not continue it.
    """
    planned = {
        plan_arm.spec.name: plan_arm for plan_arm in plan.arms if plan_arm.minutes or plan_arm.sent
    }
    arms = tuple(
        arm.model_copy(
            update={
                "more_minutes": plan_arm.minutes,
                "more_usd": plan_arm.usd if plan_arm.sent else 0.0,
            }
        )
        if (plan_arm := planned.get(arm.name)) and arm.left_out_for_time
        else _with_whole_minutes(_with_further_minutes(arm, evidence, planned), evidence, plan)
        for arm in evidence.arms
    )
    return evidence.model_copy(update={"arms": arms})


def _with_further_minutes(
    arm: ArmResult, evidence: Evidence, planned: Mapping[str, PlannedArm]
) -> ArmResult:
    plan_arm = planned.get(arm.name)
    short = is_reason(arm.because, Why.NO_ROOM_FOR_FOLDS)
    if plan_arm is None or not short or not arm.score:
        return arm
    left = (1 - arm.n / evidence.n) * plan_arm.minutes
    return arm.model_copy(update={"more_minutes": round(left, 3), "more_usd": 0.0})


def _with_whole_minutes(arm: ArmResult, evidence: Evidence, plan: Plan) -> ArmResult:
    rows = arm.options.get("rows")
    cut = isinstance(rows, int) and rows < (evidence.train or 0) and "(" not in arm.name
    if not cut or not arm.score or plan.whole is None:
        return arm
    return arm.model_copy(update={"whole_minutes": plan.whole})
