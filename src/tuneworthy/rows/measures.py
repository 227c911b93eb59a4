"""Measured values of recorded answers: cost, seconds, tokens, under the names that people use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.table_columns import value_of

_MILLISECOND_NAMES = ("latency_ms", "duration_ms", "elapsed_ms", "response_ms", "latencyms",
                 "durationms")  # fmt: skip
MEASURE_NAMES: Mapping[str, tuple[str, ...]] = {
    "usd": ("cost_usd", "usd_cost", "total_cost_usd", "costusd", "cost"),
    "seconds": ("latency_s", "duration_s", "elapsed_s", "latency_seconds", "duration_seconds",
                *_MILLISECOND_NAMES),
    "tokens_in": ("prompt_tokens", "input_tokens", "usage.prompt_tokens", "usage.input_tokens"),
    "tokens_out": ("completion_tokens", "output_tokens", "usage.completion_tokens",
                   "usage.output_tokens"),
}  # fmt: skip


def measured_columns(columns: Sequence[str]) -> dict[str, str]:
    """Return {our name: log column} of measured values that the log has under another name."""
    lowered = {name.lower(): name for name in reversed(columns)}
    found = {}
    for ours, names in MEASURE_NAMES.items():
        known = next((lowered[name] for name in (ours, *names) if name in lowered), "")
        if known and ours not in columns:
            found[ours] = known
    return found


def measured_values(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, float]:
    """Return {our name: number} of a record's measured values; milliseconds become seconds."""
    found = {}
    for ours, column in columns.items():
        value = _number(value_of(record, column))
        if value is not None:
            value = (
                value / 1000 if column.lower().rpartition(".")[2] in _MILLISECOND_NAMES else value
            )
            found[ours] = int(value) if ours.startswith("tokens") else value
    return found


def unread_number(record: RawRow, columns: Mapping[str, str]) -> RowFault | None:
    """Return the fault of a record with a text that is no number where a measured value stands."""
    for column in columns.values():
        value = value_of(record.fields, column)
        if isinstance(value, str) and value.strip() and _number(value) is None:
            return RowFault(record.where, f"`{quoted(column, 40)}` is no number of at least 0",
                            quoted(value, 40), "write it with a point, such as 0.002")  # fmt: skip
    return None


def _number(value: Any) -> float | None:
    """Return a value as a number of at least 0, None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None
