"""Measure request latency: time prompts one by one, or read the times of endpoint requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Query
from tuneworthy.models._reply_cache import uncached

MOST_TIMED_PROMPTS, LEAST_PROMPTS, TIMED_SECONDS = 30, 3, 0.5
# Shown below a limit on the 95th percentile: 59 prompts with none above it, or 93 with one.
TAIL_PROMPTS = 93


class LatencySample(NamedTuple):
    """Milliseconds of each request, and the most requests at once; None where unknown."""

    ms: tuple[float, ...] | None
    concurrency: int | None


UNTIMED_SAMPLE = LatencySample(None, None)


def request_latency(answers: Sequence[Answer]) -> LatencySample:
    """Return the times of endpoint requests, as measured when they were sent.

    The time stored with a reply is that of the successful attempt, without waiting in this program.
    An answer made by several requests has their sum.
    """
    answered = [a for a in answers if a.error is None and a.seconds is not None]
    at_once = [a.concurrency for a in answered if a.concurrency is not None]
    if not answered:
        return UNTIMED_SAMPLE
    times = tuple(round((a.seconds or 0.0) * 1000, 3) for a in answered)
    return LatencySample(times, max(at_once, default=None))


def sequential_latency(
    answer: Callable[[Sequence[Query]], list[Answer]],
    queries: Sequence[Query],
    check: Callable[[], None],
    every: bool,
) -> LatencySample:
    """Return the times of prompts sent one at a time: as many as fit into 0.5 s, at least 3.

    Times are None if 3 prompts would take more than 10 s. `every` (for a limit on the tail) times
    all prompts after one warm-up prompt, since the model is cold if its answers came from the
    ledger. The reply cache is bypassed.
    """
    with uncached():
        return _time_prompts(answer, queries, check, every)


def _time_prompts(
    answer: Callable[[Sequence[Query]], list[Answer]],
    queries: Sequence[Query],
    check: Callable[[], None],
    every: bool,
) -> LatencySample:
    if every:
        answer(queries[:1])
    times: list[float] = []
    for query in queries:
        check()
        start = time.perf_counter()
        answer([query])
        times.append((time.perf_counter() - start) * 1000)
        spent, scale = sum(times) / 1000, LEAST_PROMPTS / len(times)
        if every:
            continue
        if (spent > TIMED_SECONDS and scale <= 1) or spent * scale > 20 * TIMED_SECONDS:
            break
    if len(times) < min(LEAST_PROMPTS, len(queries)):
        return UNTIMED_SAMPLE
    return LatencySample(tuple(round(value, 3) for value in times), 1)
