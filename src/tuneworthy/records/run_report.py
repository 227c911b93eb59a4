"""Records of a training run's log, and of what the lab's detectors find in a training folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from tuneworthy.records.failure import RunFacts
from tuneworthy.records.record import Record

NEEDS_ANSWERS = "it needs the model's own answers, and no model is run here"

ONLY_IN_LAB_RUNS = "it is measured in the lab's own runs only"

FindingState = Literal["found", "explained", "clean", "not measured"]


class CaseFinding(Record):
    """The finding of one failure mode's detector about a run.

    `value` is the number that it judges by, `limit` from where on that speaks for the failure. One
    beyond its limit for another reason is "explained", by the text `explained`. `missing` maps each
    fact that it lacks to the reason. `rows` are at most five of the `row_count` rows concerned.
    """

    cause: str
    case: str
    title: str
    state: FindingState
    value: float | None = None
    because: str
    limit: str = ""
    explained: str = ""
    missing: dict[str, str] = Field(default_factory=dict)
    rows: tuple[str, ...] = ()
    row_count: int | None = None
    fix: str = ""
    harmless: str = ""

    @property
    def says(self) -> str:
        """Return what was measured, from where on it is a failure, and what else explains it."""
        limit = f" ({self.limit})" if self.limit else ""
        cause = f", explained: {self.explained}" if self.explained else ""
        return f"{self.because}{limit}{cause}"

    @property
    def reasons(self) -> list[str]:
        """Return why facts are missing: reasons that the user can remove, else others.

        What only runs of the lab measure, no answers would show: that reason stands alone. If no
        fact is missing, return the detector's own reason.
        """
        every = list(dict.fromkeys(self.missing.values()))
        if ONLY_IN_LAB_RUNS in every:
            return [ONLY_IN_LAB_RUNS]
        given = [why for why in every if why not in (NEEDS_ANSWERS, ONLY_IN_LAB_RUNS)]
        return given or every or [self.because]


class LogSource(Record):
    """A training log of the folder: its form, its steps, if it was used, and if not read, why."""

    file: str
    form: str
    used: bool = False
    steps: int = 0
    because: str = ""


class AdapterInfo(Record):
    """The settings and the size of a PEFT adapter, from its files.

    `norm` is the Frobenius norm of the change of all matrices together; `change` the largest change
    of a layer relative to its weights, None if the base's weights are not at hand.
    """

    file: str
    kind: str
    rank: int | None
    alpha: float | None
    targets: tuple[str, ...]
    matrices: int
    parameters: int
    norm: float | None
    change: float | None
    base: str


class DataInfo(Record):
    """Counts of a file of rows: read, bad, and `encoded` into tokens, with the first bad ones."""

    file: str
    form: str
    rows: int
    bad_rows: int = 0
    bad: tuple[str, ...] = ()
    encoded: int = 0


class OwnRunReport(Record):
    """The findings of the lab's detectors about one training folder.

    `facts` are what was measured; `missing` says for each other fact why not. `settings` are the
    options of the run that were found, with the file of each in `named_by`. `assumed` are the
    conclusions from how the trainer works, which no file states. `not_read`: file to why not.
    """

    folder: str
    trainer: str
    logs: tuple[LogSource, ...] = ()
    adapter: AdapterInfo | None = None
    data: DataInfo | None = None
    test: DataInfo | None = None
    settings: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    named_by: dict[str, str] = Field(default_factory=dict)
    facts: RunFacts
    missing: dict[str, str] = Field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    not_read: dict[str, str] = Field(default_factory=dict)
    findings: tuple[CaseFinding, ...] = ()

    def of_state(self, state: FindingState) -> list[CaseFinding]:
        """Return the findings in one state."""
        return [finding for finding in self.findings if finding.state == state]

    @property
    def exit_code(self) -> int:
        """Return 0 if no failure is found, 3 if one is, 4 if nothing was measured."""
        if self.of_state("found"):
            return 3
        return 0 if self.of_state("clean") or self.of_state("explained") else 4


@dataclass(frozen=True)
class LogStep:
    """The values that a trainer logged at one step; None for one that it did not log.

    `loss` is the training loss (nats a token), `held_out` the loss on held-out rows, `norm` the
    gradient's norm before clipping, `rate` the learning rate. An infinite or NaN value means that
    the run broke.
    """

    step: int
    loss: float | None = None
    held_out: float | None = None
    norm: float | None = None
    rate: float | None = None


@dataclass(frozen=True)
class TrainingLog:
    """The steps of a run in order, the settings in its log, and notes on what could not be read.

    `by_row` are the losses of the training rows in the last epoch, in the order of the rows, where
    the trainer kept them. `columns` are the names of all logged values.
    """

    file: str
    steps: tuple[LogStep, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    by_row: tuple[float, ...] = ()
    columns: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def losses(self) -> list[LogStep]:
        """Return the steps with a training loss."""
        return [step for step in self.steps if step.loss is not None]
