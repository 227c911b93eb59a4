"""Questions, one a file: is tuning the right tool here? A pure function of evidence and task.

A question explains; it never removes an arm or changes which one is named. It answers yes or no if
a bound shows it, and no if the thing was plainly not done (no search ran, too few rows). Otherwise
it is `not measured`, with what is missing, and the command or the person that can tell.
"""

from __future__ import annotations

from tuneworthy.records.evidence import Evidence
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.task import Task
from tuneworthy.records.verdict import Finding

CHECKLIST = (
    "enough_data", "evaluation", "prompt_exhausted", "behaviour_not_facts", "knowledge_still",
)  # fmt: skip
ORDER = (*CHECKLIST, "capability", "economics", "simpler_tool", "harm")


def in_order() -> tuple[str, ...]:
    """Return the names of all questions in order: the nine of `ORDER`, then further plug-ins."""
    known = catalogue("questions")
    return (*(name for name in ORDER if name in known), *(n for n in known if n not in ORDER))


def ask_all(evidence: Evidence, task: Task) -> tuple[Finding, ...]:
    """Return the finding of every question, in order, from the evidence and the task."""
    findings = []
    for name in in_order():
        finding: Finding = load("questions", name).ask(evidence, task)
        findings.append(finding)
    return tuple(findings)
