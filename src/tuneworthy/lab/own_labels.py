"""Compare the labels of training rows with those of similar rows."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.case import Case
from tuneworthy.core.task import Task
from tuneworthy.data.training_rows import TrainingRow
from tuneworthy.diagnose.label_errors import label_doubts

MOST_LABELS, LABEL_CHARACTERS, ROWS_PER_LABEL = 50, 60, 5
MOST_COMPARED_ROWS = 5_000  # the most rows that are compared: the time grows with their square


def closed_labels(rows: Sequence[TrainingRow]) -> list[str] | None:
    """Return the sorted labels if the answers are labels of a closed set, else None."""
    labels = {row.answer.strip() for row in rows}
    closed = len(labels) <= min(MOST_LABELS, len(rows) // ROWS_PER_LABEL)
    short = all(
        len(label) <= LABEL_CHARACTERS and "\n" not in label and label[:1] not in "{["
        for label in labels
    )
    return sorted(labels) if closed and short and len(labels) > 1 else None


def contradicted_rows(rows: Sequence[TrainingRow], labels: Sequence[str]) -> list[str]:
    """Return the places (file:line) of rows whose label similar rows contradict."""
    content = {"instruction": "Which label?", "data": {"train": "rows.jsonl"},
               "output": {"type": "label", "labels": list(labels)}}  # fmt: skip
    task = Task.model_validate(content)
    cases = [
        Case(id=str(k), messages=row.messages, output=row.answer, where=row.where)
        for k, row in enumerate(rows[:MOST_COMPARED_ROWS])
    ]
    doubted = {doubt.case for doubt in label_doubts(task, cases)}
    return [case.where for case in cases if case.id in doubted]
