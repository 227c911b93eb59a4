"""The record of a finished (or stopped) study, which report, compare and the lab read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from tuneworthy.records.audit_report import Audit
from tuneworthy.records.case import Case
from tuneworthy.records.evidence import Evidence, Policy
from tuneworthy.records.plan import Plan, StageDecision
from tuneworthy.records.record import Record, canonical
from tuneworthy.records.run import Run
from tuneworthy.records.settlement import SettlementLog
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task, without_left_keys
from tuneworthy.records.verdict import Verdict


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
    the study, None if it was not settled. `steps` are the decisions of the schedule.
    """

    task: Annotated[Task, BeforeValidator(without_left_keys)]
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

    @field_validator("cases")
    @classmethod
    def _check_ids(cls, cases: tuple[Case, ...]) -> tuple[Case, ...]:
        if len({case.id for case in cases}) < len(cases):
            raise ValueError("two cases have one id")
        return cases


def json_pieces(results: Results) -> Iterator[str]:
    """Yield results.json in pieces, one a run: its whole text takes as much memory as the runs."""

    def field(name: str) -> str:
        text = results.model_dump_json(by_alias=True, include={name})
        return text[len(f'{{"{name}":') : -1]

    runs = (run.model_dump_json(by_alias=True) for run in results.runs)
    return _object_pieces(list(Results.model_fields), field, runs)


def canonical_pieces(results: Results) -> Iterator[str]:
    """Yield the canonical JSON of results, in ASCII, in pieces, one a run."""

    def field(name: str) -> str:
        plain = results.model_dump(mode="json", by_alias=True, include={name})
        return canonical(plain[name], ascii_only=True)

    runs = (canonical(run, ascii_only=True) for run in results.runs)
    return _object_pieces(sorted(Results.model_fields), field, runs)


def _object_pieces(
    names: Sequence[str], field: Callable[[str], str], runs: Iterator[str]
) -> Iterator[str]:
    """Yield the JSON object of these fields: `runs` one by one, the others by `field(name)`."""
    for at, name in enumerate(names):
        yield ("," if at else "{") + f'"{name}":'
        if name != "runs":
            yield field(name)
            continue
        yield "["
        for number, run in enumerate(runs):
            yield f",{run}" if number else run
        yield "]"
    yield "}"


def as_read_back(results: Results) -> Results:
    """Return results as the store gives them back, so that a rerun writes the same bytes.

    Answers and scores that this does not change stay the same objects: read back at once, all would
    be in memory twice. The store sorts keys, so the order in dictionaries is part of the change.
    """
    rest = results.model_copy(update={"runs": ()})
    again = Results.model_validate(json.loads(canonical(rest)))
    return again.model_copy(update={"runs": tuple(_run_read_back(run) for run in results.runs)})


def _run_read_back(run: Run) -> Run:
    again = Run.model_validate(json.loads(canonical(run)))
    before, now = run.plain(), again.plain()
    kept = {
        name: getattr(run, name)
        for name in ("answers", "scores")
        if getattr(again, name) == getattr(run, name)
        and json.dumps(now[name]) == json.dumps(before[name])
    }
    return again.model_copy(update=kept)
