"""Which causes of failure an arm may repair, by what its module and its spec declare. Pure."""

from __future__ import annotations

from tuneworthy.core.causes import Cause
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
