"""Minutes of a study's steps: what a stop, a resume and more minutes count."""

import pytest
from tests.memory_ledger import MemoryLedger

from tuneworthy.measure import plan_cuts
from tuneworthy.measure.plan_cuts import KeptMinutes
from tuneworthy.records.errors import StoreError


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(plan_cuts.time, "perf_counter", lambda: now[0])
    return now


def took(kept, clock, minutes, what="probe"):
    with kept.count(what) as counted:
        clock[0] += 60 * minutes
    return counted[0]


def stopped(kept, clock, minutes):
    with kept.count("lora (0,)"):
        clock[0] += 60 * minutes
        raise KeyboardInterrupt


def test_a_step_counts_the_minutes_of_its_first_run(clock):
    kept = KeptMinutes(MemoryLedger(), "s")
    assert took(kept, clock, 7.0) == 7.0
    assert took(kept, clock, 0.1) == 7.0, "its answers came from the ledger"
    assert took(KeptMinutes(kept.ledger, "other"), clock, 0.1) == pytest.approx(0.1)


def test_a_stopped_step_keeps_its_minutes_for_the_run_that_resumes_it(clock):
    kept = KeptMinutes(MemoryLedger(), "s")
    for minutes in (5.0, 2.0):
        with pytest.raises(KeyboardInterrupt):
            stopped(kept, clock, minutes)
    assert took(kept, clock, 1.0, "lora (0,)") == 8.0
    assert took(kept, clock, 0.0, "lora (0,)") == 8.0


def test_the_error_of_a_step_is_not_hidden_by_one_of_the_store(clock):
    ledger = MemoryLedger()
    ledger.freeze = lambda *told: (_ for _ in ()).throw(StoreError("the disk is full"))
    with pytest.raises(ZeroDivisionError), KeptMinutes(ledger, "s").count("probe"):
        raise ZeroDivisionError


def test_steps_are_kept_in_their_order():
    kept = KeptMinutes(MemoryLedger(), "s")
    assert list(kept.steps()) == []
    for at, step in enumerate([("few_shot", 0), ("lora", 0), ("few_shot", 1)]):
        kept.keep_step(at, *step)
        kept.keep_step(at, *step)
    assert list(kept.steps()) == [("few_shot", 0), ("lora", 0), ("few_shot", 1)]
