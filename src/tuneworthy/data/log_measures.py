"""Read dollars, seconds and tokens of logged answers under the names that logs give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from tuneworthy.data.column_values import value_of

_MILLISECOND_NAMES = (
    "latency_ms",
    "duration_ms",
    "elapsed_ms",
    "response_ms",
    "latencyms",
    "durationms",
)
LOG_NAMES: Mapping[str, tuple[str, ...]] = {
    "usd": ("cost_usd", "usd_cost", "total_cost_usd", "costusd", "cost"),
    "seconds": ("latency_s", "duration_s", "elapsed_s", "latency_seconds", "duration_seconds",
                *_MILLISECOND_NAMES),
    "tokens_in": ("prompt_tokens", "input_tokens", "usage.prompt_tokens", "usage.input_tokens"),
    "tokens_out": ("completion_tokens", "output_tokens", "usage.completion_tokens",
                   "usage.output_tokens"),
}  # fmt: skip
"""Column names of logs by our name; a field inside an object is `object.field`."""


def measured_columns(columns: Sequence[str]) -> dict[str, str]:
    """Return {our name: log column} of measured values that the log has under another name."""
    lowered = {name.lower(): name for name in reversed(columns)}
    found = {}
    for ours, names in LOG_NAMES.items():
        known = next((lowered[name] for name in names if name in lowered), "")
        if known and ours not in columns:
            found[ours] = known
    return found


def measured_values(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, float]:
    """Return {our name: number} of a record's measured values; milliseconds become seconds."""
    found = {}
    for ours in LOG_NAMES.keys() & columns.keys():
        value = _number(value_of(record, columns[ours]))
        if value is not None:
            in_milli = columns[ours].lower() in _MILLISECOND_NAMES
            found[ours] = value / 1000 if in_milli else value
    whole = {"tokens_in", "tokens_out"}
    return {ours: int(value) if ours in whole else value for ours, value in found.items()}


def _number(value: Any) -> float | None:
    """Return a value as a number of at least 0, None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None
