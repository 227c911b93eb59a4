"""Build findings, and compute how many rows would decide a question."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from tuneworthy.core.counting import Bounded
from tuneworthy.core.finding import Finding

MAX_ROW_MULTIPLE = 100  # largest multiple of the present rows that is reported as a plan
ROWS_FACTOR = 2.0
"""Ratio of the rows for power .8 to the rows for power .5, at which the bound meets the threshold:
(1 + .84 / z)^2 is 1.8 to 2.3 for bounds at .05 to .008."""


def finding(
    name: str,
    prior: str | None,
    answer: str,
    because: str,
    step: str,
    value: Bounded | float | None = None,
) -> Finding:
    """Return a finding; `value` is a mean with bounds, a number alone, or None."""
    ends = {"value": value} if isinstance(value, float | int) else {}
    if value is not None and not isinstance(value, float | int):
        ends = {"value": value.mean, "low": value.low, "high": value.high}
    return Finding.model_validate(
        {"name": name, "answer": answer, "because": because, "next": step, "prior": prior,
         **{key: round(float(end), 6) for key, end in ends.items()}}
    )  # fmt: skip


def rows_needed(found: Bounded, n: int, below: float, above: float) -> int | None:
    """Return how many rows show `found` below `below` or above `above` with a power of about .8.

    Takes the observed mean as true and lets the bounds shrink with the square root of the rows:
    2 n (bound - mean)^2 / (threshold - mean)^2. None if the mean lies between the two thresholds,
    or so near one that more than 100 times the rows would be needed.
    """
    wanted = []
    if found.mean < below:
        wanted.append(((found.high - found.mean) / (below - found.mean)) ** 2)
    if found.mean > above:
        wanted.append(((found.mean - found.low) / (found.mean - above)) ** 2)
    if not wanted or not n or ROWS_FACTOR * min(wanted) > MAX_ROW_MULTIPLE:
        return None
    return max(n + 1, ceil(ROWS_FACTOR * n * min(wanted)))


def at_threshold(n: int, what: str = "scored rows") -> str:
    """Return a clause on a number so near its threshold that no row count can be named."""
    return f"at the threshold: more {what} may show either side (there are {n:,})"


def rows_needed_clause(
    found: Bounded, n: int, below: float, above: float, what: str = "scored rows"
) -> str:
    """Return a clause on the rows that an undecided number needs."""
    rows = rows_needed(found, n, below, above)
    if rows is None:
        return at_threshold(n, what)
    return f"too small: needs about {rows:,} {what} (there are {n:,})"


def unmeasured(missing: Mapping[str, str], field: str, otherwise: str) -> str:
    """Return "not measured" with a field's recorded reason, else with `otherwise`."""
    return f"not measured ({missing.get(field) or otherwise})"
