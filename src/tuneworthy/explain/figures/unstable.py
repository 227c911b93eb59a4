"""Answers of a validity study that differ where a row is asked several times (`repeats`)."""

from __future__ import annotations

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case
from tuneworthy.records.task import Task

SAYS = "not the same each time that the row is asked"


def holds(task: Task, case: Case, answer: Answer) -> bool | None:
    """Return whether the answers to a row differ; None if it was asked once."""
    if not task.lacks_answers or answer.error is not None or not answer.repeats:
        return None
    return any(other.text != answer.text for other in answer.repeats)
