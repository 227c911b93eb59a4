"""Circuit breaker for a user's metric that keeps running out of time.

A single timeout leaves one answer without a score. A metric that never ends would use its whole
time limit on each answer of each arm, for hours. So the metric is no longer called after
MOST_IN_ROW timeouts in a row, or after MOST_TIMEOUTS if these are more than MOST_TIMEOUT_SHARE of
all calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tuneworthy.sandbox.child import TimedOut

MOST_IN_ROW = 3
MOST_TIMEOUTS, MOST_TIMEOUT_SHARE = 10, 0.1
Key = tuple[str, ...]
T = TypeVar("T")


class MetricBroken(Exception):
    """Raised when a metric timed out too often to continue; the text says how often."""


class CircuitBreaker:
    """Counts the timeouts of one metric. Thread-safe.

    A call that timed out is not repeated with the same arguments.
    """

    def __init__(self) -> None:
        self._lock, self._stuck = threading.Lock(), dict[Key, str]()
        self._calls = self._late = self._row = 0

    def call(self, key: Key, make: Callable[[], T]) -> T:
        """Return `make()`. Raise TimedOut, or MetricBroken once timeouts are too frequent."""
        with self._lock:
            reason = self._stuck.get(key)
        if reason is not None:
            raise TimedOut(reason)
        try:
            result = make()
        except TimedOut as error:
            self._count_timeout(key, str(error))
            raise
        with self._lock:
            self._calls, self._row = self._calls + 1, 0
        return result

    def _count_timeout(self, key: Key, why: str) -> None:
        with self._lock:
            self._stuck[key] = why
            self._calls, self._late, self._row = self._calls + 1, self._late + 1, self._row + 1
            if self._row >= MOST_IN_ROW:
                raise MetricBroken(f"{self._row} calls in a row: each {why}")
            if self._late >= MOST_TIMEOUTS and self._late > MOST_TIMEOUT_SHARE * self._calls:
                raise MetricBroken(f"{self._late} of {self._calls} calls: each {why}")
