"""Answers that are more than twice as long as the longest right one."""

from __future__ import annotations

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case
from tuneworthy.records.task import Task

SAYS = "more than twice as long as the longest right one"


def holds(task: Task, case: Case, answer: Answer) -> bool | None:
    """Return whether an answer is that long; None if it has no free form or none came back."""
    if task.output.type != "text" or answer.error is not None or not case.output.strip():
        return None
    longest = max(len(text.strip()) for text in (case.output, *case.accepted))
    return len(answer.text.strip()) > 2 * longest
