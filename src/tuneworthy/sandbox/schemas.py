"""Check untrusted JSON schemas, and values against them.

A schema may take for ever: a pattern that backtracks, references that double with every level, a
comparison of each item with each. A schema with such a keyword runs in a child process with a time
limit; the others, which are most, run in this process. Nothing is ever fetched.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuneworthy.sandbox._worker import SchemaFault, schema_checker
from tuneworthy.sandbox.child import Child, ChildFailed, TimedOut

__all__ = ["SchemaFault", "_SchemaCheck", "external_reference", "schema_check"]
_SchemaCheck = Callable[[Any], str | None]
"""Returns the text on how a value violates a schema: "" if it does not, None on a timeout."""

MOST_DEPTH, MOST_NODES = 64, 20_000
SECONDS, START_SECONDS, MEMORY = 2.0, 10.0, 1024**3
MAX_TIMEOUTS = 3  # timeouts after which no further value is checked
_REFERENCE_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")
_RISKY_KEYWORDS = {*_REFERENCE_KEYWORDS, "pattern", "patternProperties", "uniqueItems"}


def schema_check(value: dict[str, Any]) -> _SchemaCheck:
    """Return the function that checks a value against a schema (see `_SchemaCheck`).

    Raises SchemaFault with the reason if the schema can't be used.
    """
    nodes = list(_nodes(value))
    for node in nodes:
        for part in node.values() if isinstance(node, dict) else node:
            if isinstance(part, float) and not math.isfinite(part):
                raise SchemaFault(f"it holds {part}, which is no JSON number")
    if (ref := external_reference(value)) is not None:
        raise SchemaFault(f"it refers outside itself: {ref}")
    return _cached_check(json.dumps(value))


@lru_cache(maxsize=4)  # several callers check the same schema
def _cached_check(text: str) -> _SchemaCheck:
    value = json.loads(text)
    keys = {key for node in _nodes(value) if isinstance(node, dict) for key in node}
    return _ChildCheck(value) if keys & _RISKY_KEYWORDS else schema_checker(value)


def external_reference(value: Any) -> str | None:
    """Return the first reference of a schema that leads outside it; None if there is none."""
    for node in _nodes(value):
        for ref in map(node.get, _REFERENCE_KEYWORDS) if isinstance(node, dict) else ():
            if isinstance(ref, str) and not ref.startswith("#"):
                return ref
    return None


def _nodes(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Yield the objects and lists of a schema. Raises SchemaFault if they are too many or deep."""
    level, count = [value], 0
    for _ in range(MOST_DEPTH + 1):
        inner: list[Any] = []
        for node in level:
            if not isinstance(node, dict | list):
                continue
            yield node
            count += 1 + len(node)
            if count > MOST_NODES:
                raise SchemaFault(f"it has more than {MOST_NODES:,} parts")
            inner += node.values() if isinstance(node, dict) else node
        level = inner
    if any(isinstance(node, dict | list) for node in level):
        raise SchemaFault(f"it is nested deeper than {MOST_DEPTH} levels")


class _ChildCheck:
    """Checks values against a schema in a child process; called with a value."""

    def __init__(self, value: dict[str, Any]) -> None:
        order = {"schema": value}
        self._child = Child(order, folder=Path("/"), seconds=SECONDS, memory=MEMORY,
                            start=START_SECONDS)  # fmt: skip
        self._timeouts, self._lock = 0, threading.Lock()
        try:
            self._child.start()
        except TimedOut:
            raise SchemaFault(f"it could not be read in {START_SECONDS:g} s") from None
        except ChildFailed as error:
            raise SchemaFault(str(error)) from None

    def __call__(self, instance: Any) -> str | None:
        with self._lock:
            if self._timeouts >= MAX_TIMEOUTS:
                return None
        try:
            return str(self._child.call(instance))
        except TimedOut:
            with self._lock:
                self._timeouts += 1
            return None
        except ChildFailed as error:
            return f"the answer: {error}"[:200]
