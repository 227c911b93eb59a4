"""The record of one optional measurement of a study: its minutes, or why it is left out."""

from __future__ import annotations

from typing import ClassVar

from tuneworthy.core.record import GrownRecord


class OptionalMeasurement(GrownRecord):
    """One optional measurement after the arms, named by `what`; `because` is why it is left out.

    `needed`: a hard limit of the task is tested by it, so it is never cut.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"needed"})

    what: str
    requests: int = 0
    minutes: float = 0.0
    because: str = ""
    needed: bool = False
