"""1 if the answer is JSON that matches the schema and was not cut, else 0; knows no right answer.

The metric of a validity study: rows without any right answer. It says nothing of what is right, so
where rows have right answers it is never used alone (`valid+fields_f1`).
"""

from __future__ import annotations

from typing import Any

from tuneworthy.metrics._validity import NO_JSON, is_json, schema_fault
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted

TYPE, BINARY = "json", True
ALONE = False  # a task file may not name it alone: rows without right answers infer it


def score(
    case: Case,  # noqa: ARG001 - every metric is called with it
    answer: Answer,
    options: dict[str, Any],
) -> Score | Unscored:
    """Return 1 for a valid answer, else 0 with what is wrong; Unscored if the schema timed out."""
    if answer.finish in ("length", "error"):
        return Score(value=0, why="it did not come to its end")
    schema = options.get("schema")
    if isinstance(schema, dict):
        wrong = schema_fault(schema)(answer.text)
    else:
        wrong = "" if is_json(answer.text) else NO_JSON
    if wrong is None:
        return Unscored(reason="the schema took too long to check this answer")
    return Score(value=not wrong, why=quoted(wrong) if wrong else "it matches the schema")
