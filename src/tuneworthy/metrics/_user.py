"""Run the user's own metric, `./score.py:score`, in a child process with limits.

The function gets the case as a plain dict (input, output, accepted, context, meta, …) and the
answer as text. It returns a number from 0 to 1, or None or "unscored: why" if it can't decide.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.errors import TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.sandbox.child import Child, ChildFailed, TimedOut

USER_SECONDS = 10.0

USER_MEMORY = 2 * 1024**3

_FUNCTION_PATH = re.compile(r"\./(?P<file>[^\\:\x00]+\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)")

_UNSCORED = "unscored:"


def is_own(name: str) -> bool:
    """Return whether a metric's name is meant as a user's function, well formed or not."""
    return any(char in name for char in ":/\\") or name.endswith(".py")


def locate_function(name: str, folder: Path) -> tuple[Path, str]:
    """Return the path of the file and the name of the function in `./file.py:function`.

    Raises TaskError for any other form, for a file outside the task's folder (links followed)
    and for a missing file.
    """
    match = _FUNCTION_PATH.fullmatch(name)
    where, form = "success.metric", "write `./file.py:function`, a file in the folder of task.yaml"
    if not match:
        raise TaskError(
            "this metric is neither a name nor a function", where=where, got=name, fix=form
        )
    root = folder.resolve()
    path = (root / match["file"]).resolve()
    if not path.is_relative_to(root):
        raise TaskError(
            "the metric's file lies outside the task's folder", where=where, got=name, fix=form
        )
    if not path.is_file():
        raise TaskError("the metric's file does not exist", where=where, got=str(path), fix=form)
    return path, match["name"]


def load_user_metric(
    name: str, folder: Path, *, seconds: float = USER_SECONDS, memory: int = USER_MEMORY
) -> Callable[[Case, Answer], Score | Unscored]:
    """Return the user's function as a metric; its source is read here, once.

    A call that takes longer than `seconds` gives Unscored; if that happens too often, the
    metric raises TaskError. So does this function if the file can't be loaded or lacks the
    function.
    """
    path, function = locate_function(name, folder)
    order = {"source": _read_source(path), "path": str(path), "name": function}
    child = Child(order, folder=path.parent, seconds=seconds, memory=memory)
    try:
        child.start()
    except ChildFailed as error:
        raise TaskError(
            "the metric's file can't be loaded", where=str(path), got=str(error),
            fix=f"it must define `def {function}(case, answer)` and import only what is installed",
        ) from None  # fmt: skip

    breaker = CircuitBreaker()

    def score(case: Case, answer: Answer) -> Score | Unscored:
        plain_case = case.model_dump(mode="json") | {"input": case.input}
        key = (case.id, case.output, answer.text)
        try:
            value = breaker.call(key, lambda: child.call(plain_case, answer.text))
        except ChildFailed as error:
            return Unscored(reason=f"{name}: {quoted(str(error))}", raised=True)
        except MetricBroken as error:
            raise _broken_metric_error(path, function, case, error) from None
        return _score_of_value(name, value)

    return score


def _broken_metric_error(path: Path, function: str, case: Case, error: MetricBroken) -> TaskError:
    return TaskError(
        "the metric does not come to an end",
        where=f"{path}: {function}",
        got=f"{error}; the last one on case {case.id}",
        fix="mend what loops there, or return None where it can't say, then run again",
        kept="the store with every answer so far: none is asked for twice",
    )


def _read_source(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(
            "the metric's file can't be read", where=str(path), got=str(error)
        ) from None


def _score_of_value(name: str, value: object) -> Score | Unscored:
    if value is None:
        return Unscored(reason=f"{name} returned None")
    if isinstance(value, str):
        if value.casefold().startswith(_UNSCORED):
            return Unscored(
                reason=quoted(value[len(_UNSCORED) :].strip()) or f"{name} gave no reason"
            )
        return Unscored(reason=f"{name} returned “{quoted(value, 80)}”, not a number from 0 to 1")
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        return Unscored(reason=f"{name} returned {value}, not a number from 0 to 1")
    return Score(value=float(value), why=f"{name} gave {value:.4g}")


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
