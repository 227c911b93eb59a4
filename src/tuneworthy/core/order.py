"""Rank arms by their scores on shared cases."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.evidence import ArmResult, Evidence


def best_first(evidence: Evidence, arms: Sequence[ArmResult]) -> list[ArmResult]:
    """Return arms sorted by mean difference to the others, highest first; ties keep their order.

    The differences are the paired ones, because arms may be scored on different cases (recorded
    answers cover the earliest rows too). Means are compared only for arms that were not paired.
    """
    means = {(pair.arm, pair.versus): pair.mean for pair in evidence.pairs}

    def ahead(arm: ArmResult, other: ArmResult) -> float:
        if (mean := means.get((arm.name, other.name))) is not None:
            return mean
        if (mean := means.get((other.name, arm.name))) is not None:
            return -mean
        return _mean_score(arm) - _mean_score(other)

    def lead(arm: ArmResult) -> float:
        return round(sum(ahead(arm, other) for other in arms if other.name != arm.name), 6)

    return sorted(arms, key=lead, reverse=True)


def _mean_score(arm: ArmResult) -> float:
    return arm.score.mean if arm.score else 0.0
