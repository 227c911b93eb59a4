"""The nine questions in their order; what no finding answered is listed as not measured."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.evidence import Policy
from tuneworthy.core.finding import Finding

QUESTIONS = (
    "enough_data", "evaluation", "prompt_exhausted", "behaviour_not_facts", "knowledge_still",
    "capability", "economics", "simpler_tool", "harm",
)  # fmt: skip
PRIORS = {
    "enough_data": "500 good examples",
    "prompt_exhausted": "a good prompt reaches 80 to 90 % of the gain",
    "harm": "general ability falls by 10 %",
}
NOT_BUILT = "not built in this version"


def answered(findings: Sequence[Finding], policy: Policy) -> tuple[Finding, ...]:
    """Return a finding for each question, the given ones unchanged, then any others given."""
    given = {finding.name: finding for finding in findings}
    nine = [given.get(name) or _unasked(name, policy) for name in QUESTIONS]
    return (*nine, *(finding for finding in findings if finding.name not in QUESTIONS))


def _unasked(name: str, policy: Policy) -> Finding:
    because, step = NOT_BUILT, ""
    if name == "economics" and (keys := _keys(policy)):
        because = f"not measured ({'key' if len(keys) == 1 else 'keys'} {', '.join(keys)})"
        step = f"write down {' and '.join(keys)}"
    return Finding(
        name=name, answer="not_measured", because=because, next=step, prior=PRIORS.get(name)
    )


def _keys(policy: Policy) -> list[str]:
    keys = ("requests_per_month", "value_of_correct")
    return [f"economics.{key}" for key in keys if getattr(policy, key) is None]
