"""The answer to one question with its number, or the reason why there is none."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tuneworthy.core.record import Record


class Finding(Record):
    """One answered question; `value`, `low`, `high` are None where not measured."""

    name: str = Field(description="The question, as `enough_data`.")
    answer: Literal["yes", "no", "not_measured"] = Field(description="The answer.")
    because: str = Field(description="The reason, in a sentence.")
    value: float | None = Field(
        default=None, description="The number that decides; the question's page says which one."
    )
    low: float | None = Field(default=None, description="The lower end of its interval.")
    high: float | None = Field(default=None, description="The upper end of its interval.")
    next: str = Field(default="", description="What to do about it; empty if nothing.")
    prior: str | None = Field(
        default=None, description="What is published without your rows; it decides nothing."
    )
