"""When a metric of the user's is called broken: it runs out of time again and again.

One call that runs out of time is one answer without a score. A metric that never ends would take
its whole time limit for each answer of each arm: hours of nothing. So it is given up after IN_ROW
calls in a row, or once OFTEN calls and more than a SHARE of all of them ran out of time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tuneworthy.sandbox.child import TimedOut

IN_ROW = 3
OFTEN, SHARE = 10, 0.1
Key = tuple[str, ...]
T = TypeVar("T")


class Broken(Exception):
    """The metric runs out of time too often to go on; the text says how often."""


class Breaker:
    """Counts the calls of one metric that ran out of time. Safe between threads.

    A call that ran out of time once is not tried again with the same arguments.
    """

    def __init__(self) -> None:
        self._lock, self._stuck = threading.Lock(), dict[Key, str]()
        self._calls = self._late = self._row = 0

    def call(self, key: Key, make: Callable[[], T]) -> T:
        """Return what `make` returns. Raises TimedOut, and Broken where that happens too often."""
        with self._lock:
            known = self._stuck.get(key)
        if known is not None:
            raise TimedOut(known)
        try:
            made = make()
        except TimedOut as error:
            self._note(key, str(error))
            raise
        with self._lock:
            self._calls, self._row = self._calls + 1, 0
        return made

    def _note(self, key: Key, why: str) -> None:
        with self._lock:
            self._stuck[key] = why
            self._calls, self._late, self._row = self._calls + 1, self._late + 1, self._row + 1
            if self._row >= IN_ROW:
                raise Broken(f"{self._row} calls in a row: each {why}")
            if self._late >= OFTEN and self._late > SHARE * self._calls:
                raise Broken(f"{self._late} of {self._calls} calls: each {why}")
