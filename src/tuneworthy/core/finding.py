"""The answer to one question with its number, or the reason why there is none."""

from __future__ import annotations

from typing import Literal

from tuneworthy.core.record import Record


class Finding(Record):
    """One answered question; `value`, `low`, `high` are None where not measured."""

    name: str
    answer: Literal["yes", "no", "not_measured"]
    because: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    next: str = ""
    prior: str | None = None
