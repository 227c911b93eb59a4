"""The plan's speed is that of the quickest of a few calls; what others take is told."""

import sys
import time
from collections import namedtuple

import pytest

from tuneworthy.cli._options import messages_view
from tuneworthy.measure import timing
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Task

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
    return timing.measure_speed(TASK, CASES, model), calls


@pytest.mark.parametrize("rows", [24, 47, 500])
def test_the_rows_of_a_plan_stand_for_all_rows_of_a_sorted_file(rows):
    """A file sorted by length has its long rows at its end."""
    cases = [
        Case(id=str(n), messages=(Message(role="user", content="word " * n),), output="yes")
        for n in range(rows)
    ]
    own = timing.mean_sizes(TASK, cases, rows, 0, None).own
    assert own == pytest.approx((rows - 1) / 2, abs=rows / 24)


def test_one_slow_call_changes_no_plan(monkeypatch):
    steady, calls = measured(monkeypatch, lambda turn: 0.0)
    assert steady.written == pytest.approx(8 * 32 / 0.8)
    assert calls[0] == 1  # the first is warm-up
    assert sorted(set(calls)) == [1, 9]
    shaken, _ = measured(monkeypatch, lambda turn: 3.0 * (turn in (1, 2, 4, 6)))
    assert (shaken.read, shaken.written) == pytest.approx((steady.read, steady.written))
    loaded, _ = measured(monkeypatch, lambda turn: 0.5)
    assert loaded.read == pytest.approx(steady.read / 2)


def test_what_other_programs_take_is_what_is_neither_idle_nor_ours():
    begun = (1000.0, 400.0, 30.0)
    assert timing._other_programs_share(begun, (1010.0, 402.0, 35.0)) == pytest.approx(0.3)
    assert timing._other_programs_share(begun, (1010.0, 405.0, 35.02)) == 0.0  # clocks tick apart
    assert timing._other_programs_share(begun, (1000.2, 400.0, 30.0)) == 0.0  # too short to tell


def test_time_of_guests_is_counted_once_and_waiting_is_idle(monkeypatch):
    names = "user nice system idle iowait irq softirq steal guest guest_nice"
    times = namedtuple("times", names)(50, 1, 5, 30, 4, 1, 1, 2, 7, 1)
    monkeypatch.setattr(timing.psutil, "cpu_times", lambda: times)
    whole, idle, _ = timing._cpu_seconds()
    assert (whole, idle) == (94, 34)
    others = namedtuple("times", "user system idle")(50, 5, 30)  # of other systems
    monkeypatch.setattr(timing.psutil, "cpu_times", lambda: others)
    assert timing._cpu_seconds()[:2] == (85, 30)


def test_the_time_of_this_program_is_not_that_of_others():
    begun = timing._cpu_seconds()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    whole, _, own = (b - a for a, b in zip(begun, timing._cpu_seconds(), strict=True))
    assert own >= 0.3
    assert whole > 0


@pytest.mark.parametrize(("full", "asked"), [(None, 32), (5, 5), (128, 40)])
def test_the_speed_is_that_of_a_full_batch_of_the_model(monkeypatch, full, asked):
    """Of as many rows as the model reads at once, or all there are; 32 where it does not say."""
    model = Scripted("scripted:timed", lambda prompt, limits: "one")
    if full:
        model.full = full
    right, sizes = model.reply, []
    monkeypatch.setattr(
        model, "reply", lambda prompts, *rest: sizes.append(len(prompts)) or right(prompts, *rest)
    )
    timing.measure_speed(TASK, CASES, model)
    assert sizes == [1, *[asked] * 2 * timing.TIMED_CALLS]


def test_a_long_call_is_not_made_twice(monkeypatch):
    model = Scripted("scripted:timed", lambda prompt, limits: "one")
    right, sizes = model.reply, []
    monkeypatch.setattr(
        model, "reply", lambda prompts, *rest: sizes.append(len(prompts)) or right(prompts, *rest)
    )
    monkeypatch.setattr(timing, "_LONG_CALL_SECONDS", -1.0)
    timing.measure_speed(TASK, CASES, model)
    assert sizes == [1, 32, 32]


def test_a_model_on_this_machine_is_said_to_be_timed_and_each_call_is_told(monkeypatch):
    """Without it, plan is silent for as long as a busy machine takes."""
    told = []
    model = Scripted("scripted:timed", lambda prompt, limits: "one")
    timing.measure_speed(TASK, CASES, model, lambda *event: told.append(event))
    assert told == []  # nothing is computed here
    monkeypatch.setattr(model, "net", object(), raising=False)
    monkeypatch.setattr(timing, "training_path", lambda model: (False, 1.0))
    timing.measure_speed(TASK, CASES, model, lambda *event: told.append(event))
    assert [event for event, _ in told] == ["say", "at", "at", "at"]
    assert told[0][1].startswith("timing scripted:timed on a few of your rows")
    assert "rows, one token each" in told[2][1]


def test_plan_shows_what_goes_on_on_a_terminal_and_prints_lines_elsewhere(monkeypatch, capsys):
    with messages_view() as tell:
        tell("say", "timing it")
        tell("at", "timing it: a first one")
    assert capsys.readouterr().err == "timing it\n"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with messages_view() as tell:
        tell("say", "timing it")
        tell("at", "timing it: a first one")
    shown = capsys.readouterr().err
    assert "timing it: a first one" in shown
    assert "0:00:0" in shown
