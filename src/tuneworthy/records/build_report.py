"""Records of the forms that `build` wrote and of how each of them answered the cases again."""

from __future__ import annotations

from typing import Any, Literal

from tuneworthy.records.artefact import Artefact
from tuneworthy.records.interval import Interval
from tuneworthy.records.record import Record


class LogProbDistance(Record):
    """Mean distances of the log-probability of a token, in nats.

    `exported`: the exported model from the evaluated one. `base`: the exported model from the base
    without the adapter, on the same answers; an adapter that is not applied makes it small.
    `floor`: the evaluated model from itself, asked one prompt at a time and all together. `limit`
    is what `exported` may be, None where the form rounds the weights (then scores alone decide).
    `bare`: the form with its adapter off from the base (None: it can't be turned off). `answers`
    counts the answers that were compared.
    """

    exported: float
    base: float | None
    floor: float
    limit: float | None
    bare: float | None = None
    answers: int


class ChangedAnswer(Record):
    """One case that the exported form answers differently, with both answers and their scores."""

    case: str
    evaluated: str
    exported: str
    before: float
    after: float


class FormParity(Record):
    """One exported form, in the engine that will serve it, compared with the evaluated arm.

    `equal` of the `asked` answers are the same text. `agreement` is that share and `difference` the
    paired difference in score (exported less evaluated), both two-sided 95 %. `failed` are the
    reasons why the form is refused, empty if it is not; `excluded`: a drop beyond the margin is
    excluded by the bound. `because` says why nothing was measured (`asked` is then 0). `changes`
    are the cases that lost most.
    """

    form: str
    engine: str = ""
    asked: int = 0
    equal: int = 0
    agreement: Interval | None = None
    difference: Interval | None = None
    margin: float | None = None
    excluded: bool | None = None
    distance: LogProbDistance | None = None
    changes: tuple[ChangedAnswer, ...] = ()
    failed: tuple[str, ...] = ()
    because: str = ""


class BuiltForm(Record):
    """A form that was written (or would be): its bytes, its notes, the seconds it took.

    `because` says why it does not apply, or why it was not written; "" if it was.
    """

    form: str
    bytes: int | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    because: str = ""


class BuildReport(Record):
    """A build: the artefact, its folder ("" if it was refused or only planned), its forms.

    `seeds` maps each seed that was trained to its dev score. `commands` are the recommended ways to
    serve the forms. `refused`: a form failed its parity.
    """

    artefact: Artefact
    folder: str = ""
    arm: str
    rows: int
    seeds: dict[int, float | None]
    forms: tuple[BuiltForm, ...]
    parity: tuple[FormParity, ...] = ()
    commands: tuple[str, ...] = ()
    refused: bool = False
    planned: bool = False
    pushed: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the report as plain data, without the examples in the artefact's pack."""
        record = super().plain()
        record["artefact"].pop("pack")
        return record


StepName = Literal[
    "base", "adapter", "merge", "precision", "quantisation", "template", "stop token", "answers"
]


class ExportStep(Record):
    """One step of an export. `sound` is None where it could not be checked; `text` says why."""

    name: StepName
    sound: bool | None
    text: str

    @classmethod
    def of(cls, name: StepName, sound: bool | None, text: str) -> ExportStep:
        """Return a step by its parts in order."""
        return cls(name=name, sound=sound, text=text)


class ExportTrace(Record):
    """The steps between a tuned model and its export, in the order in which an export does them.

    `asked` is the number of rows that both answered, `equal` the number of equal answers.
    """

    source: str
    export: str
    steps: tuple[ExportStep, ...]
    asked: int = 0
    equal: int = 0

    @property
    def fault(self) -> ExportStep | None:
        """Return the first step that is not sound; None if none is."""
        return next((step for step in self.steps if step.sound is False), None)
