"""P16: a signal asks for a stop at a safe point; failpoints act at the step they name."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.in_time import ends_within

from tuneworthy.records.errors import TaskError
from tuneworthy.store import failpoint as planted
from tuneworthy.store import signals
from tuneworthy.store.failpoint import failpoint
from tuneworthy.store.store import open_ledger


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_p16_i162_a_signal_stops_at_the_next_safe_point(number, code):
    before = signal.getsignal(number)
    with signals.stoppable():
        signals.check()
        os.kill(os.getpid(), number)
        assert signals.requested_exit_code() == code
        with pytest.raises(signals.StopRequested) as stopped:
            signals.check()
        assert stopped.value.exit_code == code
        assert not isinstance(stopped.value, Exception)
    assert signal.getsignal(number) == before
    signals.check()


def test_p16_a_unit_in_the_making_is_stored_before_the_stop(tmp_path):
    with open_ledger(tmp_path) as ledger, signals.stoppable():

        def make():
            os.kill(os.getpid(), signal.SIGTERM)
            return {"whole": True}

        with pytest.raises(signals.StopRequested):
            ledger.unit("k", "x", make)
        assert ledger.get("k") == {"whole": True}
        with pytest.raises(signals.StopRequested):
            ledger.unit("next", "x", lambda: pytest.fail("a new unit was begun"))
        assert ledger.unit("k", "x", make) == {"whole": True}


def test_p16_a_wait_ends_soon_after_a_signal():
    with signals.stoppable():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        with ends_within(2), pytest.raises(signals.StopRequested):
            signals.wait(30)
    signals.wait(0.01)


def test_i161_the_second_signal_exits_at_once():
    code = (
        "import os, signal, time; from tuneworthy.store.signals import stoppable\n"
        "with stoppable():\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('still here', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT); time.sleep(1); print('too late')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "still here\n")


def test_other_threads_can_use_the_block():
    said = []

    def work():
        with signals.stoppable():
            said.append(signals.requested_exit_code())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [None]


@pytest.fixture
def plant(monkeypatch):
    monkeypatch.setattr(planted, "_times_passed", {})
    return lambda spec: monkeypatch.setenv("TW_FAILPOINT", spec)


def failing(count, name="put.before"):
    seen = []
    for number in range(1, count + 1):
        try:
            failpoint(name)
        except OSError:
            seen.append(number)
    return seen


@pytest.mark.parametrize(
    ("spec", "fails"),
    [
        ("put.before:2:raise", [2]),
        ("put.before:2+:raise", [2, 3, 4]),
        ("*:3:EIO", [3]),
        ("put.*:1:EROFS", [1]),
        ("door.*:1:raise", []),
    ],
)
def test_a_failpoint_acts_at_the_step_it_names(plant, spec, fails, capfd):
    plant(spec)
    assert failing(4) == fails
    assert capfd.readouterr().err.count("failpoint put.before") == len(fails)


def test_an_unset_failpoint_is_cheap(monkeypatch):
    monkeypatch.delenv("TW_FAILPOINT", raising=False)
    with ends_within(2):
        for _ in range(10_000):
            failpoint("put.before")


def test_a_failpoint_can_ask_to_stop(plant):
    plant("*:1:term")
    with signals.stoppable():
        failpoint("put.before")
        assert signals.requested_exit_code() == 143


@pytest.mark.parametrize(
    "spec", ["kill", "a:b:kill", "a:1:strerror", "a:1:", "a::kill", "a:-1:kill"]
)
def test_a_failpoint_that_can_not_be_read_is_an_error(plant, spec):
    plant(spec)
    with pytest.raises(TaskError) as error:
        failpoint("put.before")
    assert error.value.exit_code == 2


def test_a_time_of_zero_is_over_at_once_and_a_long_one_never():
    with pytest.raises(signals.StopRequested), signals.stop_after(0.0, signals.TIME_UP):
        signals.check()
    with signals.stop_after(1e20, signals.TIME_UP):  # longer than a thread can wait
        time.sleep(0.05)
        signals.check()
    signals.check()


def test_the_seconds_that_are_left_are_told():
    assert signals.seconds_left() == float("inf")
    with signals.stop_after(100.0):
        assert 90 < signals.seconds_left() <= 100
    assert signals.seconds_left() == float("inf")


def test_a_time_that_is_over_requests_no_stop_of_what_follows():
    for _ in range(300):
        with signals.stop_after(1e-5, signals.TIME_UP):
            pass
        signals.check()
    assert threading.active_count() < 20
