"""Compute from the diagnosis which share of the failures is missing facts, not behaviour."""

from __future__ import annotations

from dataclasses import dataclass

from tuneworthy.core.causes import Diagnosis
from tuneworthy.core.known import KnowledgeProbe, Proportion
from tuneworthy.matrix.design import Design
from tuneworthy.questions._arms import ticked

CAUSES_OF_FACTS = ("knowledge", "retrieval")
CAUSES_OF_BEHAVIOUR = ("format", "convention", "latent", "learnable")
CAUSES_OF_NEITHER = ("metric", "label")  # causes that are neither facts nor behaviour
MOST_UNKNOWN, UNKNOWN_OF_A_TYPE = 0.25, 0.5  # default: shares of unknown facts that are too high
SMALLEST_PART = Design.independent("only the counts of a finding are stored")


@dataclass(frozen=True)
class FactShare:
    """The share of facts among the causes of `n` failures, with its 95 % interval.

    `at_most`: no passage was shown, so a failure that no remedy repairs may be a missing fact.
    """

    mean: float
    low: float
    high: float
    n: int
    at_most: bool


def missing_facts_share(found: Diagnosis) -> FactShare | None:
    """Return the share of facts versus behaviour; None if no failure has either cause.

    If a remedy was tried on part of the failures only, the shares are the estimates and the
    interval is that of the smallest such part. If no passage was shown, every failure that nothing
    else explains counts as a missing fact.
    """
    rows = found.estimates or found.wrong
    shares = {row.cause: row.share for row in rows}
    lacks, ways = (
        sum(shares.get(c, 0.0) for c in kinds) for kinds in (CAUSES_OF_FACTS, CAUSES_OF_BEHAVIOUR)
    )
    least = min((row.n for row in rows), default=0)
    shown = any(one.remedy in CAUSES_OF_FACTS and one.n_fail for one in found.effects)
    whole = lacks + ways if shown else 1.0
    n = round(whole * least)
    if not n or not ways + lacks:
        return None
    other = sum(shares.get(cause, 0.0) for cause in CAUSES_OF_NEITHER)
    mean = lacks / whole if shown else max(0.0, 1 - ways - other)
    share = SMALLEST_PART.rate(min(n, round(mean * n)), n)
    return FactShare(mean, share.low if shown else 0.0, share.high, n, not shown)


def training_acts(found: Diagnosis) -> str | None:
    """Return the name of the training or pilot that acts on the failures; None if none does."""
    return next((e.name for e in found.effects if e.remedy == "learnable" and e.acts), None)


def too_many_unknown_facts(known: KnowledgeProbe | None) -> tuple[Proportion, str] | None:
    """Return (share of facts unknown to the model, its rows) if shown too high, else None."""
    if known is None:
        return None
    if known.unknown is not None and known.unknown.low >= MOST_UNKNOWN:
        return known.unknown, "rows asked"
    for kind, share in sorted(known.by_type.items()):
        if share.low >= UNKNOWN_OF_A_TYPE:
            return share, f"rows of type {ticked(kind)} asked"
    return None
