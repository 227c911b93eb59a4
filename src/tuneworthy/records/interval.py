"""`Interval`: a mean with its two-sided 95 % confidence interval."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.records.record import Record

ALPHA = 0.05  # the error of what is told as 95 % sure


class Interval(Record):
    """A mean with its two-sided 95 % interval, in score points from 0 to 1 (or -1 to 1)."""

    mean: float = Field(description="The mean that was measured.")
    low: float = Field(description="The lower end.")
    high: float = Field(description="The upper end.")

    @classmethod
    def of(cls, three: tuple[float, float, float]) -> Interval:
        """Return the interval of (mean, low, high), rounded to six digits."""
        mean, low, high = (round(float(value), 6) for value in three)
        return cls(mean=mean, low=low, high=high)
