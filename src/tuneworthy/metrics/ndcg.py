"""How high the relevant ids stand in a ranked list: nDCG of the first k (option `k`, 10).

Each relevant id at place i gains 1 / log2(i + 1); the sum is divided by that of the best list
(Järvelin and Kekäläinen 2002, with relevance 0 or 1). Lists are written as for `recall_at_k`.
"""

from __future__ import annotations

from math import log2
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
    """Return the discounted gain of the first k ids, divided by the largest possible one."""
    return best_list_score(case, answer, options, _ndcg)


def _ndcg(right: set[str], said: list[str], k: int) -> tuple[float, str]:
    gain = sum(1 / log2(at + 2) for at, one in enumerate(said[:k]) if one in right)
    best = sum(1 / log2(at + 2) for at in range(min(k, len(right))))
    first = next((at + 1 for at, one in enumerate(said) if one in right), None)
    where = f"the first relevant id is number {first}" if first else "no id is relevant"
    return min(gain / best, 1.0), where
