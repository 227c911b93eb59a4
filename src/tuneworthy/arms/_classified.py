"""Helpers of the arms that choose among labels: classifier input, softmax, the likeliest label."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case, Query


def classifier_input(row: Case | Query) -> str:
    """Return the classifier's input: the content of all messages, one a line."""
    return "\n".join(message.content for message in row.messages)


def most_probable_label(
    query: Query, names: Sequence[str], row: Sequence[float], **more: Any
) -> Answer:
    """Return the most probable label (the first of equals) as an answer with all probabilities."""
    best = max(range(len(names)), key=row.__getitem__)
    table = {name: float(p) for name, p in zip(names, row, strict=True)}
    return Answer(case=query.id, text=names[best], labels=table, finish="stop", **more)


def classify(
    queries: Sequence[Query], classifier: Any, encode: Callable[[Sequence[str]], Any] | None
) -> list[Answer]:
    """Return the likeliest label of each query by a fitted scikit-learn classifier.

    `encode` turns texts into vectors; None for a pipeline that reads texts. Each answer's seconds
    are its share of the batch.
    """
    if not queries:
        return []
    start = time.perf_counter()
    given: Any = [classifier_input(query) for query in queries]
    given = encode(given) if encode else given
    with single_blas_thread():
        table = classifier.predict_proba(given)
    each = (time.perf_counter() - start) / len(queries)
    names = [str(name) for name in classifier.classes_]
    return [
        most_probable_label(query, names, row, seconds=each)
        for query, row in zip(queries, table.tolist(), strict=True)
    ]


def softmax(row: Sequence[float]) -> list[float]:
    """Return the softmax of a row of log probabilities."""
    top = max(row)
    weights = [math.exp(value - top) for value in row]
    total = sum(weights)
    return [weight / total for weight in weights]


def single_blas_thread() -> Any:
    """Limit BLAS to one thread.

    On these small matrices, waiting threads made fitting 50 times slower on a busy 2-core machine
    (measured).
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
