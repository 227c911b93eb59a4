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


@pytest.mark.parametrize(("words", "asked"), [(2, 32), (60, 18), (4000, 16)])
def test_long_rows_are_timed_with_fewer_of_them(monkeypatch, words, asked):
    now, calls = [0.0], []
    model = Scripted("scripted:timed", lambda prompt, limits: "one")
    text = "word " * words
    cases = [case.model_copy(update={"messages": (Message(role="user", content=text),)})
             for case in CASES]  # fmt: skip

    def reply(prompts, limits, *rest):
        calls.append(len(prompts))
        own = sum(len(prompt[-1].content) for prompt in prompts)
        now[0] += own / 1000 + 0.1 * (limits.max_tokens - 1)
        return []

    monkeypatch.setattr(model, "reply", reply)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    found = timing.speed(TASK, cases, model)
    assert calls == [1, *[asked] * 4]
    assert found.written == pytest.approx(8 * asked / 0.8)
    each = model.count_tokens([cases[0].messages[0]])
    assert found.read == pytest.approx(each / (len(text) / 1000), rel=0.2)  # whatever was asked
