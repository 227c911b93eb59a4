"""The record of verdict.json, the machine contract. A breaking change raises `schema`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tuneworthy.core.arm import Role
from tuneworthy.core.causes import Wrong as Wrong
from tuneworthy.core.evidence import Interval, Latency, Tokens
from tuneworthy.core.finding import Finding
from tuneworthy.core.record import Record
from tuneworthy.core.run import State
from tuneworthy.core.task import Tool

SCHEMA = 1
Use = Literal[
    "keep", "classifier", "prompt", "schema", "context", "bigger", "tune", "distil", "other", "none"
]
"""`other` is a recorded system whose tool is not given (`answers.NAME.tool`)."""
Status = Literal["firm", "provisional", "blocked"]


class TaskName(Record):
    """Name and content hash of the task."""

    name: str
    hash: str


class LeftOnTable(Record):
    """The most that another measured arm may be better by, in score points (0 to 1)."""

    points: float
    level: float


class ByMargin(Record):
    """What the rule says at another margin."""

    margin: float
    use: Use
    arm: str | None
    status: Status


class Next(Record):
    """The cheapest next step and its size.

    `minutes` are whole ones of the machine, for a step that runs it and whose time was planned.
    """

    do: str
    rows: int | None = None
    clicks: int | None = None
    usd: float | None = None
    minutes: int | None = None
    why: str


class Delta(Interval):
    """Paired difference to the arm `versus`, two-sided interval."""

    versus: str


class VerdictArm(Record):
    """One arm, as verdict.json lists it."""

    name: str
    tool: Tool | None
    role: Role
    simplicity: int
    options: dict[str, Any]
    seed: int | None
    seeds: int
    n: int
    score: Interval | None
    delta: Delta | None
    valid: float | None
    latency_ms: Latency | None
    tokens: Tokens | None
    usd_per_1k: float | None
    fit_seconds: float | None
    state: State
    because: str


class Verdict(Record):
    """The whole answer. `seconds` is the wall time of the study's units, measured once."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    tuneworthy: str
    task: TaskName
    use: Use
    arm: str | None
    status: Status
    left_on_table: LeftOnTable | None
    by_margin: tuple[ByMargin, ...]
    next: Next
    because: str
    target_met: bool | None
    looks: int
    arms: tuple[VerdictArm, ...]
    wrong: tuple[Wrong, ...] = ()
    questions: tuple[Finding, ...] = ()
    changes: dict[str, Any] | None = None
    economics: dict[str, Any] = Field(default_factory=dict)
    flips: tuple[dict[str, Any], ...] = ()
    missing: dict[str, str] = Field(default_factory=dict)
    seconds: float | None
    evidence_hash: str

    def __rich__(self) -> str:
        """Return the first line of the ladder screen."""
        arm = f": {self.arm}" if self.arm else ""
        return f"use {self.use}{arm} · {self.status}"

    def _repr_html_(self) -> str:
        from tuneworthy.core.escape import for_html

        return f"<b>{for_html(self.__rich__())}</b><p>{for_html(self.because)}</p>"
