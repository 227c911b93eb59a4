"""Which causes of failure an arm may repair, and what a diagnosis says of it. Pure.

An arm is known by what its module and its spec declare (tool, role, NEEDS, REMEDY), never by name.
The verdict's next step and the rule that spends a study's minutes both read this table.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.causes import Cause, Wrong, share_of, speaks_against
from tuneworthy.core.evidence import Evidence
from tuneworthy.core.plan import NO_ROOM, Plan
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.core.run import Spec
from tuneworthy.core.task import Tool

BY_REMEDY: dict[str, frozenset[Cause]] = {
    "format": frozenset({"format"}),
    "convention": frozenset({"convention"}),
    "knowledge": frozenset({"knowledge", "retrieval"}),
    "retrieval": frozenset({"knowledge", "retrieval"}),
    "latent": frozenset({"latent"}),
    "capability": frozenset({"capability", "reading"}),
    "learnable": frozenset({"learnable", "latent"}),
}
"""The causes that an arm with this REMEDY may repair. What a model knows and does not always say
(latent) is repaired by a majority of samples and by training; what it can't read, by a larger
one."""
BY_TOOL: dict[Tool, frozenset[Cause]] = {
    "schema": BY_REMEDY["format"],
    "context": BY_REMEDY["retrieval"],
    "bigger": BY_REMEDY["capability"],
    "tune": BY_REMEDY["learnable"],
    "distil": BY_REMEDY["learnable"],
}
"""The same for an arm that declares no REMEDY (recorded answers, say): a prompt may be anything."""
READS: frozenset[Cause] = frozenset({"reading", "knowledge"})
"""What training with documents in the prompt repairs too: it brings the facts and learns to read
them. It searches as retrieval does, so what retrieval does not find it does not find either."""


def repairs(spec: Spec) -> frozenset[str]:
    """Return the causes of failure that an arm may repair: none for one that can't be named."""
    if spec.role != "candidate":
        return frozenset()
    module = load("arms", spec.arm) if spec.arm in catalogue("arms") else None
    needs: frozenset[str] = getattr(module, "NEEDS", frozenset())
    remedy = getattr(module, "REMEDY", None)
    found = BY_REMEDY.get(remedy or "", BY_TOOL.get(spec.tool or "keep", frozenset()))
    return frozenset(found | (READS if {"training", "docs"} <= needs else frozenset()))


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
