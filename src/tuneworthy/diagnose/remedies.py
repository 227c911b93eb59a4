"""What a diagnosis says of an arm: failures it may repair, and what speaks against it. Pure.

The verdict's next step and the rule that spends a study's minutes both ask here.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.causes import Wrong, share_of, speaks_against
from tuneworthy.core.evidence import Evidence
from tuneworthy.core.plan import NO_ROOM, Plan
from tuneworthy.core.repairs import repairs
from tuneworthy.core.run import Spec


def wanted(spec: Spec, wrong: Sequence[Wrong]) -> float:
    """Return the share of the failures (0 to 1) whose cause this arm may repair; 0 without any."""
    return share_of(wrong, repairs(spec))


def against(spec: Spec, wrong: Sequence[Wrong]) -> bool:
    """Return whether the diagnosis speaks against an arm: training that brings no passages, where
    most failures lack a passage or can't be read out of one."""
    return speaks_against(wrong, repairs(spec))


def with_minutes(evidence: Evidence, plan: Plan) -> Evidence:
    """Return the evidence with what measuring each arm takes that the minutes had no room for.

    An arm whose work was not estimated (0 minutes, nothing sent) keeps None.
    """
    planned = {one.spec.name: one for one in plan.arms if one.minutes or one.sent}
    arms = tuple(
        arm.model_copy(
            update={"more_minutes": one.minutes, "more_usd": one.usd if one.sent else 0.0}
        )
        if (one := planned.get(arm.name)) and not arm.score and arm.because.startswith(NO_ROOM)
        else arm
        for arm in evidence.arms
    )
    return evidence.model_copy(update={"arms": arms})
