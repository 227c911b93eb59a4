"""Measure the latency of requests, and ask answers again that the token limit cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tuneworthy.explain.arm_figures import score_shortfall
from tuneworthy.metrics import Metric, score_all
from tuneworthy.models._reply_cache import uncached
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.arm import Fitted
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import ModelError, NumericError

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
    """Return times of prompts sent one at a time: as many as fit into 0.5 s, 3 or more, or all.

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


# Cut answers generated again: the sample, and the most if one gained.
SAMPLE_ANSWERS, MOST_LONGER_ANSWERS = 16, 60

_ScoredAnswers = Sequence[tuple[Answer, Score | Unscored]]


def rescore_cut_answers(
    metric: Metric,
    gold: Mapping[str, Case],
    fitted: Fitted,
    scored: tuple[_ScoredAnswers, Mapping[str, Query]],
    fold: int,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, float] | None:
    """Return {case id: score} of cut answers generated again with more tokens, or None.

    None: the token limit is not ours. If the model fails, the remaining cases are left out (they
    count as if a longer answer were right) and `note` gets a line about it. Only fold 0 generates
    again: each further token is a decoding step, so a few rows take as long as many. `scored` is
    (answers with scores, queries by case). The rest of the cut answers (up to MOST_LONGER_ANSWERS)
    follows only if one of the sample gained.
    """
    pairs, queries = scored
    if fitted.longer is None:
        return None
    if fold:
        return {}
    waiting = sorted(answer.case for answer, score in pairs if score_shortfall(answer, score) > 0)
    shortfall = {answer.case: score_shortfall(answer, score) for answer, score in pairs}
    rescored, tried = dict[str, float](), set[str]()
    for limit in (SAMPLE_ANSWERS, MOST_LONGER_ANSWERS):
        rest = [case for case in _evenly_spaced(waiting, limit) if case not in tried]
        tried |= set(rest)
        if rest:
            try:
                answers = fitted.longer([queries[case] for case in rest])
            except (ModelError, NumericError) as error:
                note(f"cut answers were not asked again: {error.what} ({error.got})")
                break
            scores = score_all(metric, [gold[case] for case in rest], answers)
            new = zip(rest, scores, strict=True)  # an unscored answer may have gained
            rescored |= {case: score.value for case, score in new if isinstance(score, Score)}
        if not any(value > 1 - shortfall[case] for case, value in rescored.items()):
            break
    return rescored


def _evenly_spaced(cases: Sequence[str], most: int) -> list[str]:
    """Return up to `most` of the cases, spread evenly over the list, in order."""
    if len(cases) <= most:
        return list(cases)
    return [cases[k * len(cases) // most] for k in range(most)]
