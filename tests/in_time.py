"""A limit in time for a test of something that must not hang.

A wall clock also counts the minutes in which a machine stands still or runs other tests. This limit
counts what the process itself lived through: wake-ups of a thread, and processor time of the caller
(for C code that lets no thread wake).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

TICK = 0.02  # seconds between two wake-ups


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Fail if the block takes more than `seconds` of the time that this process lives through."""
    ended, ticks, worked = threading.Event(), [0], time.thread_time()

    def count() -> None:
        while not ended.wait(TICK):
            ticks[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    try:
        yield
    finally:
        ended.set()
        counter.join()
    took = max(ticks[0] * TICK, time.thread_time() - worked)
    assert took < seconds, f"this took {took:.1f} s, more than {seconds:g} s"
