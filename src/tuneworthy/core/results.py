"""A finished (or stopped) study as one record: what report, compare and the lab read."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tuneworthy.core.audit_report import Audit
from tuneworthy.core.case import Case
from tuneworthy.core.evidence import Evidence, Policy
from tuneworthy.core.plan import Plan, Step
from tuneworthy.core.record import Record
from tuneworthy.core.run import Run
from tuneworthy.core.settlement import Course
from tuneworthy.core.split import Split
from tuneworthy.core.task import Task
from tuneworthy.core.verdict import Verdict


class GridPoint(Record):
    """The verdict at one margin and volume, computed by `decide`; the report's sliders read it."""

    margin: float
    requests_per_month: float | None
    use: str
    arm: str | None
    status: str
    left: float | None


class Grade(Record):
    """What humans gave to one answer of a case, 0 to 1; `answer` without the space around it."""

    case: str
    answer: str
    grade: float


class Results(Record):
    """The whole study. `cases` are the scored cases (opened), `runs` one per arm, seed and fold.

    `reproduce` holds versions, hardware, commands and wall seconds as plain strings and numbers.
    `split` says which rows each fold learnt from and was scored on, `policy` is the user's side of
    the rule: with them the verdict can be computed again from this record alone. `grades` are
    those of humans, which correct a judge; None where no judge grades. `course` is what settling
    the study took, None where it was not settled. `steps` are the decisions of the stage rule.
    """

    task: Task
    audit: Audit
    plan: Plan
    cases: tuple[Case, ...]
    runs: tuple[Run, ...]
    evidence: Evidence
    verdict: Verdict
    grid: tuple[GridPoint, ...] = ()
    reproduce: dict[str, Any] = Field(default_factory=dict)
    split: Split | None = None
    policy: Policy | None = None
    grades: tuple[Grade, ...] | None = None
    course: Course | None = None
    steps: tuple[Step, ...] = ()
