"""The optional measurements of a study: each kind with its minutes, or why it is left out."""

from __future__ import annotations

from tuneworthy.core.record import Record


class OptionalMeasurement(Record):
    """One optional measurement after the arms, named by `what`; `because` says why it is cut."""

    what: str
    requests: int = 0
    minutes: float = 0.0
    because: str = ""
