"""Parse a duration as a task writes it: a number and h, d, w, m or y."""

from __future__ import annotations

import re

DAYS_PER_UNIT = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 365.25 / 12, "y": 365.25}
CENTURY = 36_525.0
"""The longest duration that is accepted, in days."""


def duration_days(text: str) -> float:
    """Return the number of days in a duration such as `30d`, `6w`, `1y`.

    Raises ValueError, with the reason, for another text and for a duration that is not above 0 or
    exceeds a century.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([hdwmy])", text.strip())
    if match is None:
        raise ValueError("this is no span of time")
    days = float(match[1]) * DAYS_PER_UNIT[match[2]]
    if days <= 0:
        raise ValueError("the span of time must be above 0")
    if days > CENTURY:
        raise ValueError("the span of time must be at most a century")
    return days
