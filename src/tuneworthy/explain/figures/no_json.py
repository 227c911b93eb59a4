"""Answers of a validity study that are no JSON at all; the rest may still not match the schema."""

from __future__ import annotations

from tuneworthy.metrics._validity import is_json
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case
from tuneworthy.records.task import Task

SAYS = "no JSON"


def holds(task: Task, case: Case, answer: Answer) -> bool | None:
    """Return whether an answer does not parse; None if none came, or rows have right answers."""
    if not task.lacks_answers or answer.error is not None:
        return None
    return not is_json(answer.text)
