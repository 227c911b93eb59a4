"""Look up the causes of failure that an arm may repair, by its REMEDY, tool and needs."""

from __future__ import annotations

from tuneworthy.core.causes import Cause
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.core.run import Spec
from tuneworthy.core.task import Task, Tool

CAUSES_BY_REMEDY: dict[str, frozenset[Cause]] = {
    "format": frozenset({"format"}),
    "convention": frozenset({"convention"}),
    "knowledge": frozenset({"knowledge", "retrieval"}),
    "retrieval": frozenset({"knowledge", "retrieval"}),
    "latent": frozenset({"latent"}),
    "capability": frozenset({"capability", "reading"}),
    "learnable": frozenset({"learnable", "latent"}),
}
"""The causes that an arm with this REMEDY may repair. Majority voting and training both repair
`latent` (the model knows the answer but does not always give it); a larger model repairs
`reading`."""
CAUSES_BY_TOOL: dict[Tool, frozenset[Cause]] = {
    "schema": CAUSES_BY_REMEDY["format"],
    "context": CAUSES_BY_REMEDY["retrieval"],
    "bigger": CAUSES_BY_REMEDY["capability"],
    "tune": CAUSES_BY_REMEDY["learnable"],
    "distil": CAUSES_BY_REMEDY["learnable"],
}
"""The same for an arm without a REMEDY (such as recorded answers); a prompt is not listed, because
it may repair anything or nothing."""
DOCUMENT_TRAINING_REPAIRS: frozenset[Cause] = frozenset({"reading", "knowledge"})
"""What training with documents in the prompt repairs as well: it supplies the facts and teaches the
model to read them. It uses the same retrieval, so it does not repair `retrieval`."""


def asks_another_model(task: Task, spec: Spec) -> bool:
    """Return whether an arm is a prompt of another model than the one that runs today."""
    prompt = spec.tool == "prompt" and spec.role == "candidate" and spec.arm != "answers"
    return prompt and task.present is not None and task.present.model != task.model


def repairable_causes(spec: Spec) -> frozenset[str]:
    """Return the causes of failure that an arm may repair; none unless it is a candidate."""
    if spec.role != "candidate":
        return frozenset()
    module = load("arms", spec.arm) if spec.arm in catalogue("arms") else None
    needs: frozenset[str] = getattr(module, "NEEDS", frozenset())
    remedy = getattr(module, "REMEDY", None)
    causes = CAUSES_BY_REMEDY.get(
        remedy or "", CAUSES_BY_TOOL.get(spec.tool or "keep", frozenset())
    )
    return frozenset(
        causes | (DOCUMENT_TRAINING_REPAIRS if {"training", "docs"} <= needs else frozenset())
    )
