"""How long a request takes: timed here one at a time, or at the endpoint where it was sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Query
from tuneworthy.models._reply_cache import uncached

PROMPTS, LEAST, SECONDS = 30, 3, 0.5
# A limit on the 95th percentile is met with 59 prompts in time, or 93 of which one is late.
TAIL_PROMPTS = 93


class Timed(NamedTuple):
    """Milliseconds of single requests, and how many were under way at once (None: not known)."""

    ms: tuple[float, ...] | None
    concurrency: int | None


NOT_TIMED = Timed(None, None)


def of_requests(answers: Sequence[Answer]) -> Timed:
    """Return the times of requests to an endpoint, each as it was when it was sent.

    Stored with its reply, it is that of the attempt that was answered, without any wait in this
    program. An answer that several requests made has their sum.
    """
    told = [a for a in answers if a.error is None and a.seconds is not None]
    at_once = [a.concurrency for a in told if a.concurrency is not None]
    if not told:
        return NOT_TIMED
    times = tuple(round((a.seconds or 0.0) * 1000, 3) for a in told)
    return Timed(times, max(at_once, default=None))


def one_at_a_time(
    answer: Callable[[Sequence[Query]], list[Answer]],
    queries: Sequence[Query],
    check: Callable[[], None],
    every: bool,
) -> Timed:
    """Return the times of prompts asked one at a time: what .5 s holds, at least 3; or `every`.

    None where 3 take more than 10 s. `every` is for a limit on the tail: nothing is warm where
    answers came from the ledger, so one prompt is asked before. Each request is sent to the model.
    """
    with uncached():
        return _timed(answer, queries, check, every)


def _timed(
    answer: Callable[[Sequence[Query]], list[Answer]],
    queries: Sequence[Query],
    check: Callable[[], None],
    every: bool,
) -> Timed:
    if every:
        answer(queries[:1])
    times: list[float] = []
    for query in queries:
        check()
        start = time.perf_counter()
        answer([query])
        times.append((time.perf_counter() - start) * 1000)
        spent, least = sum(times) / 1000, LEAST / len(times)
        if every:
            continue
        if (spent > SECONDS and least <= 1) or spent * least > 20 * SECONDS:
            break
    if len(times) < min(LEAST, len(queries)):
        return NOT_TIMED
    return Timed(tuple(round(value, 3) for value in times), 1)
