"""Stop a run by signal at a safe point: the first requests a stop, the second exits at once.

Independent of studies. SIGINT, SIGTERM and SIGHUP inside `stoppable()` set a flag; `check()` raises
`StopRequested` at the next safe point, where all that was reported as saved is saved. The ledger,
not this module, guarantees against losing work: a clean stop only shortens the loss.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TIME_UP = -1  # the code of a stop because the minutes of a study are over: it ends by itself
_stop_signal: int | None = None
_signals = 0  # how many came inside `stoppable()`
_end = inf  # when `stop_after` requests its stop, on the monotonic clock


class StopRequested(BaseException):
    """The user or the system requested a stop; finished work is stored, so run again.

    Like KeyboardInterrupt it is no `Exception`: an arm that catches failures must not swallow it.
    """

    def __init__(self, exit_code: int, again: str = "tuneworthy run") -> None:
        self.exit_code = exit_code
        super().__init__(f"stopped on request; `{again}` continues where it stopped")


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn a first signal (Ctrl-C, SIGTERM, SIGHUP) inside the block into a stop at `check()`.

    Outside the main thread (the lab's workers) handlers can't be set, so the block changes nothing
    there.
    """
    global _stop_signal, _signals
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
        _stop_signal, _signals = None, 0


@contextmanager
def stop_after(seconds: float, code: int = 0) -> Iterator[None]:
    """Request a stop with this exit code at the first safe point after these seconds.

    One block at a time in a process: the request is the whole process's.
    """
    global _stop_signal, _end

    def request_stop() -> None:
        global _stop_signal
        _stop_signal = code if _stop_signal is None else _stop_signal

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), request_stop)
    timer.daemon, _end = True, time.monotonic() + seconds
    if seconds > 0:
        timer.start()
    else:
        request_stop()
    try:
        yield
    finally:
        timer.cancel()
        _end = inf
        if seconds > 0:
            timer.join()  # else it may yet request a stop of what follows
        _stop_signal = None if _stop_signal == code else _stop_signal


def seconds_left() -> float:
    """Return the seconds until `stop_after` requests its stop; inf outside of such a block."""
    return _end - time.monotonic()


def requested_exit_code() -> int | None:
    """Return the exit code of the requested stop (0 after a time, 130 or 143); None without one."""
    return _stop_signal


def go_on() -> None:
    """Forget the requested stop, so that what was measured can be written; a second one exits."""
    global _stop_signal
    _stop_signal = None


def check() -> None:
    """Mark a safe point: raise StopRequested if a stop was requested."""
    if _stop_signal is not None:
        raise StopRequested(_stop_signal)


def wait(seconds: float) -> None:
    """Sleep these seconds, but raise StopRequested soon after a signal (a 429 can take minutes)."""
    end = time.monotonic() + seconds
    while True:
        check()
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, 0.2))


def _on_signal(number: int, _frame: FrameType | None) -> None:
    global _stop_signal, _signals
    code = 130 if number == signal.SIGINT else 143
    if _signals:
        os._exit(code)
    _stop_signal, _signals = code, 1
