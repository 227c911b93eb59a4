"""Show the first prompt of every arm as it would be sent, without sending it.

Each arm is fitted as in a study, with a model that raises the first prompt it is given. So the
prompt comes from the arm's own code, not from a copy of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tuneworthy.flows.session import Session, open_session
from tuneworthy.models._roles import wanted_models
from tuneworthy.records.answer import Unscored
from tuneworthy.records.arm import Setup
from tuneworthy.records.case import Message, Query
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DoesNotApply, TuneworthyError
from tuneworthy.records.model import Limits, Model, Prompt, Reply
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import Why
from tuneworthy.records.run import RunOptions, Spec
from tuneworthy.records.specs import (
    chooses,
    chooses_prompt,
    is_recorded,
    needs_of_arm,
    specs,
    trains,
    unmet_needs,
)
from tuneworthy.rows.schema import closed_fields_sentence

_MODEL_NEEDS = frozenset({"model", "bigger", "teacher", "present", "reflection", "decision"})
_NOTHING_SENT = "asks no model: nothing is sent"


@dataclass(frozen=True)
class PromptPreview:
    """An arm's first prompt: the model it goes to and the messages; empty if it sends none.

    `note` says what the prompt still depends on, or why nothing is sent. `same_as` names an earlier
    arm with the same model and messages.
    """

    arm: str
    model: str = ""
    messages: tuple[Message, ...] = ()
    note: str = ""
    same_as: str = ""


class _PromptCaptured(Exception):
    """Carries the first prompt out of an arm's code, past any `except` of known errors."""

    def __init__(self, model: str, prompt: Prompt, held: bool) -> None:
        super().__init__()
        self.model, self.prompt, self.held = model, tuple(prompt), held


class _CapturingModel:
    """A model that raises `_PromptCaptured` with the first prompt of its first request."""

    context: int | None = None

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.fingerprint: dict[str, str] = {}

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Raise _PromptCaptured with the first prompt; return [] for an empty batch."""
        if prompts:
            raise _PromptCaptured(self.spec, prompts[0], limits.grammar is not None)
        return []

    def count_tokens(self, prompt: Prompt) -> int:  # noqa: ARG002
        """Return 0: nothing is sent."""
        return 0


def first_prompts(path: Path, options: RunOptions = RunOptions()) -> list[PromptPreview]:
    """Return the first prompt of each arm of a task, in ladder order. Sends and stores nothing.

    Raises the errors that `plan` would raise for the task file and its rows.
    """
    with open_session(path, options, get="later") as session:
        found: list[PromptPreview] = []
        for spec in specs(session.task):
            made = _preview_of_arm(session, spec)
            same = (f.arm for f in found if f.messages == made.messages and f.model == made.model)
            like = next(same, "") if made.messages else ""
            found.append(PromptPreview(made.arm, made.model, made.messages, made.note, like))
        return found


def _preview_of_arm(session: Session, spec: Spec) -> PromptPreview:
    arm = load("arms", spec.arm)
    if is_recorded(session.task, spec):
        return PromptPreview(spec.name, note="recorded answers: nothing is sent")
    unmet = unmet_needs(spec, session.available)
    if lacking := [str(reason) for reason in unmet if reason.why is not Why.NOT_INSTALLED]:
        return PromptPreview(spec.name, note=f"not asked: {'; '.join(lacking)}")
    if trains(spec):
        rows = max((len(part.train) for part in session.split.parts), default=0)
        return PromptPreview(spec.name, note=f"trains on {count_noun(rows, 'row')} before it asks:"
                             " its prompt is the one that it was trained with")  # fmt: skip
    if not needs_of_arm(spec) & _MODEL_NEEDS:
        return PromptPreview(spec.name, note=_NOTHING_SENT)
    with tempfile.TemporaryDirectory() as folder:
        return _capture_prompt(session, spec, arm, Path(folder))


def _capture_prompt(session: Session, spec: Spec, arm: ModuleType, folder: Path) -> PromptPreview:
    """Return an arm's preview: fit it without, then with dev rows, until it sends a prompt."""
    case = next(iter(session.split.parts[0].test))
    query = session.sealed.queries([case], gold_passage=arm.ROLE == "ceiling")[0]
    why = _NOTHING_SENT
    for with_dev in (False, True):
        setup = _capturing_setup(session, spec, folder, with_dev)
        try:
            fitted = arm.fit(setup, arm.Options.model_validate(spec.options), session.task.seed)
            fitted.answer([query])
        except _PromptCaptured as found:
            note = _open_dependency(session, spec, query, with_dev)
            if found.held and (closed := closed_fields_sentence(session.task)):
                note += f"; its answers are held to the schema: {closed}"
            return PromptPreview(spec.name, found.model, found.prompt, note)
        except (DoesNotApply, TuneworthyError) as error:
            why = f"not asked: {error}".split("\n")[0]
    return PromptPreview(spec.name, note=why)


def _capturing_setup(session: Session, spec: Spec, folder: Path, with_dev: bool) -> Setup:
    part = session.split.parts[0].learnt(chooses(spec))
    learn = {case.id: case for case in (*session.loaded.cases, *(session.loaded.dev or ()))}
    models: dict[str, Model] = {
        role: _CapturingModel(m) for role, m in wanted_models(session.task).items()
    }
    return Setup(
        task=session.task,
        train=[learn[i] for i in part.train],
        dev=[learn[i] for i in part.dev] if with_dev else [],
        models=models,
        score=lambda case, answer: Unscored(reason="nothing was asked"),
        folder=folder,
        unlabelled=session.unlabelled,
        docs=session.loaded.docs,
        common=folder,
    )


def _open_dependency(session: Session, spec: Spec, query: Query, with_dev: bool) -> str:
    """Return the note on what an arm's prompt still depends on: a row, or a choice on dev rows."""
    dev = count_noun(max((len(part.dev) for part in session.split.parts), default=0), "dev row")
    if with_dev:
        return f"the first of the prompts that it tries on {dev}; it learns which to keep"
    if chooses_prompt(spec):
        return f"with the plain instruction; it takes the best of the prompts before it, on {dev}"
    if chooses(spec) and (spec.options.get("k") or spec.options.get("examples")):
        return f"for row {query.id}; its examples come from the training rows, chosen on {dev}"
    return f"for row {query.id}"
