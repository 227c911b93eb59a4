"""The nine questions in order; a question without a finding is listed as not asked."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.evidence import Policy
from tuneworthy.core.finding import Finding
from tuneworthy.core.plugins import load
from tuneworthy.questions import in_order

NOT_MEASURED = "not measured (the questions are asked at the end of a study)"


def complete_findings(findings: Sequence[Finding], policy: Policy) -> tuple[Finding, ...]:
    """Return a finding for each question in order, then any other findings."""
    given = {finding.name: finding for finding in findings}
    names = in_order()
    listed = [given.get(name) or _missing_finding(name, policy) for name in names]
    return (*listed, *(finding for finding in findings if finding.name not in names))


def _missing_finding(name: str, policy: Policy) -> Finding:
    because, step = NOT_MEASURED, "finish the study"
    if name == "economics" and (keys := _missing_keys(policy)):
        because = f"not measured (task.yaml lacks {', '.join(keys)})"
        step = f"write down {' and '.join(keys)}"
    prior: str | None = load("questions", name).PRIOR
    return Finding(name=name, answer="not_measured", because=because, next=step, prior=prior)


def _missing_keys(policy: Policy) -> list[str]:
    keys = ("requests_per_month", "value_of_correct")
    return [f"economics.{key}" for key in keys if getattr(policy, key) is None]
