"""The record of a finished (or stopped) study, which report, compare and the lab read."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tuneworthy.core.audit_report import Audit
from tuneworthy.core.case import Case
from tuneworthy.core.evidence import Evidence, Policy
from tuneworthy.core.plan import Plan, StageDecision
from tuneworthy.core.record import Record
from tuneworthy.core.run import Run
from tuneworthy.core.settlement import SettlementLog
from tuneworthy.core.split import Split
from tuneworthy.core.task import Task
from tuneworthy.core.verdict import Verdict


class GridPoint(Record):
    """The verdict at one margin and volume, computed by `decide`, for the report's sliders."""

    margin: float
    requests_per_month: float | None
    use: str
    arm: str | None
    status: str
    left: float | None


class Grade(Record):
    """The human grade of one answer of a case, 0 to 1; `answer` is stripped of outer whitespace."""

    case: str
    answer: str
    grade: float


class Results(Record):
    """All of one study: `cases` are the scored cases (opened), `runs` one per arm, seed and fold.

    `reproduce` holds versions, hardware, commands and wall seconds as plain strings and numbers.
    `split` says which rows each fold learnt from and was scored on, `policy` is the user's part of
    the decision rule: with both the verdict can be recomputed from this record alone. `grades` are
    the human grades that correct a judge; None if no judge grades. `course` is the log of settling
    the study, None if it was not settled. `steps` are the decisions of the stage rule.
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
    course: SettlementLog | None = None
    steps: tuple[StageDecision, ...] = ()
