"""The record of one optional measurement of a study: its minutes, or why it is left out."""

from __future__ import annotations

from tuneworthy.core.record import Record


class OptionalMeasurement(Record):
    """One optional measurement after the arms, named by `what`; `because` is why it is left out."""

    what: str
    requests: int = 0
    minutes: float = 0.0
    because: str = ""
