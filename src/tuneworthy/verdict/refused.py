"""Find right answers of today's system that the metric or its parser refused. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tuneworthy.core.counting import points
from tuneworthy.core.evidence import Evidence

FORM_CAUSES = ("metric", "format")


@dataclass(frozen=True)
class RefusedAnswers:
    """At least `share` of all cases (0 to 1) are right answers of `arm` that the metric refused."""

    arm: str
    remedy: str
    share: float


def refused_answers(evidence: Evidence) -> RefusedAnswers | None:
    """Return today's answers refused for their form, if that is the leading cause; else None.

    Only rescoring the same answers counts: a form that an arm of the study repairs (a schema) is
    handled by the ladder.
    """
    diagnosis, today = evidence.diagnosis, [arm.name for arm in evidence.arms if arm.present]
    if diagnosis is None or diagnosis.arm not in today or not diagnosis.wrong:
        return None
    lead, names = diagnosis.wrong[0], {arm.name for arm in evidence.arms}
    if lead.cause not in FORM_CAUSES or lead.arm is None or lead.arm in names:
        return None
    share = lead.low * diagnosis.n_fail / (diagnosis.n_fail + diagnosis.n_pass)
    return RefusedAnswers(arm=diagnosis.arm, remedy=lead.arm, share=share)


def refused_answers_clause(found: RefusedAnswers) -> str:
    """Return a clause on the share of right answers that were refused for their form."""
    return (
        f"at least {points(found.share)} of what runs today are right answers that were refused for"
        f" their form ({found.remedy} finds them)"
    )
