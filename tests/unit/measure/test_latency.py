"""D5: requests are timed where they are made, as many as a limit on the tail needs."""

import itertools

import pytest
from tests.runner_kit import bench_of, cases, planned

from tuneworthy.explain.hard_limits import limit_states
from tuneworthy.measure import latency
from tuneworthy.measure.units import measure
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Recipe
from tuneworthy.records.task import Data, HardLimits, Output, Success, Task
from tuneworthy.stats.bounds import rate

LABELS = ("refund", "delivery")


def made(limits):
    return Task(
        data=Data(file="rows.jsonl"), instruction="Say it.", success=Success(limits=limits),
        output=Output(type="label", labels=LABELS),
    )  # fmt: skip


def runs_of(tmp_path, task, count):
    from dataclasses import replace

    model = Scripted("scripted:x", lambda prompt, limits: "refund")
    with bench_of(tmp_path, task, cases(count, LABELS), {"base": model}) as bench:
        bench = replace(bench, timed=True)
        return measure(bench, planned("zero_shot", bench), [Recipe()] * 2, dev=False)


def test_a_limit_on_the_tail_is_timed_on_enough_prompts_to_be_met(tmp_path):
    task = made(HardLimits(p95_ms=60_000))
    runs = runs_of(tmp_path, task, 140)
    assert sum(len(run.latency_ms) for run in runs) >= latency.TAIL_PROMPTS
    assert {run.latency_concurrency for run in runs} == {1}
    assert limit_states(task, {}, runs)["p95_ms"] == "met"


def test_without_a_limit_the_first_fold_alone_is_timed(tmp_path):
    first, second = runs_of(tmp_path, made(HardLimits()), 140)
    assert 3 <= len(first.latency_ms) <= latency.MOST_TIMED_PROMPTS
    assert second.latency_ms is None


def test_a_limit_that_is_set_later_is_timed_on_the_stored_answers(tmp_path):
    """The stored scores of the first study, which timed few prompts, were taken for it."""
    runs_of(tmp_path, made(HardLimits()), 140)
    runs = runs_of(tmp_path, made(HardLimits(p95_ms=60_000)), 140)
    assert sum(len(run.latency_ms) for run in runs) >= latency.TAIL_PROMPTS


@pytest.mark.parametrize(("slow", "needed"), [(0, 59), (1, latency.TAIL_PROMPTS)])
def test_the_count_of_prompts_is_the_least_that_can_meet_a_limit(slow, needed):
    assert rate(slow, needed, level=0.10)[1] <= 0.05 < rate(slow, needed - 1, level=0.10)[1]


@pytest.mark.parametrize(
    ("times", "state", "why"),
    [([1.0] * 58, "not shown", "58 prompts were timed; 59 are the fewest that can show it"),
     ([1.0], "not shown", "1 prompt was timed; 59 are the fewest that can show it"),
     ([1.0] * 59, "met", None),
     ([1.0] * 59 + [99.0], "not shown",
      "60 prompts were timed, 1 of them over it: 1.7 % (0.1 to 7.7 %) of all, and 5 % may be")],
)  # fmt: skip
def test_a_limit_on_the_tail_that_stays_open_says_why(tmp_path, times, state, why):
    from tuneworthy.explain.comparison import compare
    from tuneworthy.matrix.inputs import ComparisonInputs

    task, rows = made(HardLimits(p95_ms=50)), cases(140, LABELS)
    runs = [run.model_copy(update={"latency_ms": tuple(times) if run.fold == 0 else None})
            for run in runs_of(tmp_path, task, 140)]  # fmt: skip
    with bench_of(tmp_path, task, rows, {}) as bench:
        (arm,) = compare(ComparisonInputs(task, "study", bench.split), rows, runs).arms
    assert (arm.limits["p95_ms"], arm.missing.get("limits.p95_ms")) == (state, why)


def test_requests_to_an_endpoint_keep_the_time_of_their_attempt():
    told = [Answer(case=str(n), text="x", seconds=s, concurrency=c, error=e)
            for n, (s, c, e) in enumerate([(0.5, 2, None), (0.25, 4, None), (None, None, None),
                                           (9.0, 9, "failed")])]  # fmt: skip
    assert latency.request_latency(told) == latency.LatencySample((500.0, 250.0), 4)
    assert latency.request_latency(told[2:]) == latency.UNTIMED_SAMPLE


@pytest.mark.parametrize(("every", "count"), [(False, 3), (True, 12)])
def test_few_slow_prompts_are_enough_but_for_a_limit(monkeypatch, every, count):
    clock = itertools.count()
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(clock) * 0.5)
    asked = []
    found = latency.sequential_latency(asked.append, range(12), lambda: None, every)
    assert len(found.ms) == count
    assert len(asked) == count + every, "one warms it up"


def test_what_takes_too_long_is_not_timed(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(clock) * 20.0)
    assert latency.sequential_latency(lambda q: None, range(12), lambda: None, False).ms is None
