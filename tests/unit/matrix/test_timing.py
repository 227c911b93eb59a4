"""The plan's speed is that of the quickest of a few calls."""

import pytest

from tuneworthy.core.case import Case, Message
from tuneworthy.core.task import Data, Output, Task
from tuneworthy.matrix import timing
from tuneworthy.models.scripted import Scripted

TASK = Task(
    data=Data(file="rows.jsonl"), instruction="Say it.", output=Output(type="text"),
    success={"metric": "exact"},
)  # fmt: skip
CASES = [
    Case(id=str(n), messages=(Message(role="user", content=f"What is {n}?"),), output=str(n))
    for n in range(40)
]


def measured(monkeypatch, slow):
    """Measure with a clock: a call takes .5 s, .1 s more a token, and `slow` at times."""
    now, calls = [0.0], []

    def answer(prompt, limits):
        return "one"

    model = Scripted("scripted:timed", answer)
    right = model.reply

    def reply(prompts, limits, *rest):
        calls.append(limits.max_tokens)
        now[0] += 0.5 + 0.1 * (limits.max_tokens - 1) + slow(len(calls))
        return right(prompts, limits, *rest)

    monkeypatch.setattr(model, "reply", reply)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return timing.speed(TASK, CASES, model), calls


def test_one_slow_call_changes_no_plan(monkeypatch):
    steady, calls = measured(monkeypatch, lambda turn: 0.0)
    assert steady.written == pytest.approx(8 * 32 / 0.8)
    assert calls[0] == 1  # the first is warm-up
    assert sorted(set(calls)) == [1, 9]
    shaken, _ = measured(monkeypatch, lambda turn: 3.0 * (turn in (1, 2, 4, 6)))
    assert (shaken.read, shaken.written) == pytest.approx((steady.read, steady.written))
    loaded, _ = measured(monkeypatch, lambda turn: 0.5)
    assert loaded.read == pytest.approx(steady.read / 2)
