"""Rank arms by score on the cases that they share."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.evidence import ArmResult, Evidence


def best_first(evidence: Evidence, arms: Sequence[ArmResult]) -> list[ArmResult]:
    """Return arms by their mean difference to the others, the highest first; ties keep their order.

    The differences are the paired ones, because arms may be scored on different cases (recorded
    answers cover the earliest rows too). Means are compared only for arms that were not paired.
    """
    means = {(pair.arm, pair.versus): pair.mean for pair in evidence.pairs}

    def ahead(arm: ArmResult, other: ArmResult) -> float:
        if (mean := means.get((arm.name, other.name))) is not None:
            return mean
        if (mean := means.get((other.name, arm.name))) is not None:
            return -mean
        return _mean(arm) - _mean(other)

    def lead(arm: ArmResult) -> float:
        return round(sum(ahead(arm, other) for other in arms if other.name != arm.name), 6)

    return sorted(arms, key=lead, reverse=True)


def _mean(arm: ArmResult) -> float:
    return arm.score.mean if arm.score else 0.0
