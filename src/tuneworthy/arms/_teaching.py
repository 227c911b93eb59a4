"""Helpers of the arms with a teacher: its options, its model and its prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Recipe, Setup
from tuneworthy.core.case import Query
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.model import Model
from tuneworthy.core.record import Record
from tuneworthy.core.task import Task
from tuneworthy.prompting.messages import INPUT_PLACEHOLDER

Prompt = Literal["auto", "zero", "input", "best"]
FIXED_PROMPTS = ("zero", "input")  # prompts that are the same in every fold


class TeacherOptions(Record):
    """`teacher_prompt`: zero (the instruction and the form of an answer), input, or best.

    input is the row alone, for a teacher with a prompt of its own: an artefact behind a server.
    best is the best prompt of the fold, whose examples differ by fold, so that a teacher behind an
    endpoint is paid for in every fold. auto: best if the teacher is the task's own model (its
    prompt is then all that it has over the student), else zero.
    """

    teacher_prompt: Prompt = Field(default="auto")


def teacher_of(setup: Setup) -> Model:
    """Return the task's teacher. Raises DoesNotApply if it is not set or cannot be opened."""
    model = setup.models.get("teacher")
    if model is None:
        raise DoesNotApply("the task's `teacher` is not set, or can't be opened here")
    return model


def teacher_recipe(setup: Setup, prompt: Prompt) -> Recipe:
    """Return the prompt that the teacher gets in this fold."""
    if prompt == "input":
        return Recipe(kind="file", text=INPUT_PLACEHOLDER)
    best = prompt == "best" or (prompt == "auto" and teaches_itself(setup.task))
    return setup.recipe if best else Recipe(kind="zero")


def teaches_itself(task: Task) -> bool:
    """Return whether the teacher is the task's own model or the model that is tuned."""
    return task.teacher in (task.model, task.tune or task.model)


def pair_settings(task: Task) -> dict[str, Any]:
    """Return the task settings that decide which pairs of a teacher are kept, as key fields.

    A pair of a labelled row is kept if its answer passes; the teacher's prompt depends on whose
    teacher it is.
    """
    return {"pass_at": task.success.passes_from, "teaches_itself": teaches_itself(task)}


def without_passage(
    ask: Callable[[Sequence[Query]], list[Answer]],
) -> Callable[[Sequence[Query]], list[Answer]]:
    """Return `ask` with the gold passages, which a ceiling may see, taken out of the queries."""

    def asked(queries: Sequence[Query]) -> list[Answer]:
        return ask([query.model_copy(update={"gold_passage": None}) for query in queries])

    return asked
