"""Make the input that every adviser gets, and check the probabilities that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask, ShownRow
from tuneworthy.records.record import Record
from tuneworthy.records.task import TOOLS, OutputType

TOOL_CHOICES: tuple[str, ...] = (*TOOLS, "none")
"""The names that an adviser can choose: the eight tools, and `none` (none beats the reference)."""
SHOWN_ROWS = 10
_TYPE_OF_METRIC: dict[str, OutputType] = {
    "accuracy": "label", "fields_f1": "json", "number": "number", "exact": "text",
    "contains": "text", "token_f1": "text", "rouge_l": "text", "exact_words": "text",
}  # fmt: skip


class AdviceInput(Record):
    """The facts of a task that every adviser gets; the only score is the plain instruction's.

    `rows` are ten rows to learn from (fewer, or none, where a public set's rows are not shipped),
    `n` is the number of labelled rows to learn from, `base` the score of the plain instruction from
    0 to 1. `recorded` is this adviser's stored answer to the task, which only `recorded_answers.py`
    reads; `first_look` are the arms without training on at most 75 cases, which only
    `first_look.py` reads.
    """

    instruction: str
    rows: tuple[ShownRow, ...]
    n: int = Field(gt=0)
    base: float | None
    metric: str
    margin: float
    output_type: OutputType | None = None
    recorded: dict[str, float] | None = None
    first_look: tuple[MeasuredArm, ...] = ()


def input_of(task: MeasuredTask) -> AdviceInput:
    """Return the facts of a measured task that advisers get."""
    return AdviceInput(
        instruction=task.instruction,
        rows=task.shown[:SHOWN_ROWS],
        n=task.size,
        base=task.base,
        metric=task.metric,
        margin=task.margin,
        output_type=task.output_type or _TYPE_OF_METRIC.get(task.metric),
        first_look=task.first_look,
    )


def certain(name: str) -> dict[str, float]:
    """Return an answer with all probability on one tool, {name: 1.0}."""
    return {name: 1.0}


def as_distribution(answer: Mapping[str, Any] | None) -> dict[str, float] | None:
    """Return an answer as probabilities that sum to 1; None if it is no distribution.

    A distribution maps names of TOOL_CHOICES to finite numbers that are not negative and sum to 1
    within .02; a name left out counts as 0.
    """
    if not isinstance(answer, Mapping) or not answer or not set(answer) <= set(TOOL_CHOICES):
        return None
    values = list(answer.values())
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        return None
    if not all(0 <= each <= 2 for each in values) or abs(sum(values) - 1) > 0.02:
        return None
    return {name: float(answer.get(name, 0)) / sum(values) for name in TOOL_CHOICES}


def likeliest_tool(probabilities: Mapping[str, float] | None) -> str | None:
    """Return the tool with the highest probability; None for no answer or equal probabilities."""
    if not probabilities:
        return None
    most = max(probabilities.values())
    first = [name for name, value in probabilities.items() if value >= most - 1e-9]
    return first[0] if len(first) == 1 else None
