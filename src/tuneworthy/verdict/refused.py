"""Right answers of what runs today that the metric or its parser refused. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tuneworthy.core.counting import points
from tuneworthy.core.evidence import Evidence

FORM = ("metric", "format")


@dataclass(frozen=True)
class Refused:
    """At least this share of all cases (0 to 1) `arm` has right once `remedy` scores it again."""

    arm: str
    remedy: str
    share: float


def refused(evidence: Evidence) -> Refused | None:
    """Return what of today's answers was refused for its form, where that leads; else None.

    Only scoring the same answers again counts: a form that an arm of the study repairs (a schema)
    is what the ladder is for.
    """
    seen, today = evidence.diagnosis, [arm.name for arm in evidence.arms if arm.present]
    if seen is None or seen.arm not in today or not seen.wrong:
        return None
    lead, names = seen.wrong[0], {arm.name for arm in evidence.arms}
    if lead.cause not in FORM or lead.arm is None or lead.arm in names:
        return None
    share = lead.low * seen.n_fail / (seen.n_fail + seen.n_pass)
    return Refused(arm=seen.arm, remedy=lead.arm, share=share)


def lost(found: Refused) -> str:
    """Return how much is lost to the form of the answers, as a clause."""
    return (
        f"at least {points(found.share)} of what runs today are right answers that were refused for"
        f" their form ({found.remedy} finds them)"
    )
