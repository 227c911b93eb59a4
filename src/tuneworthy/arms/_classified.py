"""What the arms share that choose among labels: what they read, and the likeliest as an answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case, Query


def text(row: Case | Query) -> str:
    """Return what a classifier reads: all turns of the conversation, one a line."""
    return "\n".join(message.content for message in row.messages)


def likeliest(query: Query, names: Sequence[str], row: Sequence[float], **more: Any) -> Answer:
    """Return the label with the highest probability, the first of equals, with all of them."""
    best = max(range(len(names)), key=row.__getitem__)
    table = {name: float(p) for name, p in zip(names, row, strict=True)}
    return Answer(case=query.id, text=names[best], labels=table, finish="stop", **more)


def softmax(row: Sequence[float]) -> list[float]:
    """Return shares that sum to 1 from logarithms."""
    top = max(row)
    weights = [math.exp(value - top) for value in row]
    total = sum(weights)
    return [weight / total for weight in weights]


def one_thread() -> Any:
    """Keep the linear algebra on one thread: these matrices are small, and threads that wait for
    each other made fitting 50 times slower on a busy machine of 2 cores (measured).
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
