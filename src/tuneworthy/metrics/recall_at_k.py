"""The share of the relevant ids among the first k of a ranked list (option `k`, 10 by default).

Answers and right answers are lists of ids: a JSON array, or ids on lines or between commas. Of more
than k relevant ids no list can hold all, so at most k of them count.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tuneworthy.metrics._ranking import best_list_score
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.record import Record

TYPE = "text"


class Options(Record):
    """`k` is how many of the first ids count."""

    k: int = Field(default=10, ge=1)


def score(case: Case, answer: Answer, options: dict[str, Any]) -> Score | Unscored:
    """Return how many relevant ids are among the first k, divided by min(k, relevant ids)."""
    return best_list_score(case, answer, options, _recall)


def _recall(right: set[str], said: list[str], k: int) -> tuple[float, str]:
    hits, most = len(right.intersection(said[:k])), min(k, len(right))
    return hits / most, f"{hits} of {most} relevant ids in the first {k}"
