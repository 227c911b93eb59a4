"""Read values of log lines as text, numbers, times and turns; BadRow for unusable ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tuneworthy.records.record import well_formed
from tuneworthy.records.strict_json import strict_json
from tuneworthy.rows.bad_rows import BadRow
from tuneworthy.rows.rows import as_text

USER, ASSISTANT = "user", "assistant"
SYSTEM = ("system", "developer")
_MOST_SECONDS = 1e11  # a larger number of seconds lies after the year 5000
_YEAR_10000 = 253_402_300_800.0  # in seconds since 1970


def value_text(value: Any) -> str | None:
    """Return a value as text: text as it is, other values as JSON; None for None."""
    return None if value is None else well_formed(as_text(value))


def iso_time(value: Any, field: str = "time") -> str | None:
    """Return a time as ISO text; a number is seconds or milliseconds since 1970. None if empty."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and not value.strip().replace(".", "", 1).isdigit():
            parsed = datetime.fromisoformat(value.strip())
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).isoformat()
        seconds = float(value)
        seconds = seconds / 1000 if seconds > _MOST_SECONDS else seconds
        if not 0 <= seconds < _YEAR_10000:
            raise ValueError
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, TypeError, OverflowError):
        fix = "write an ISO date (2026-01-31T08:00:00Z), or seconds since 1970"
        raise BadRow("the time can't be read", as_text(value)[:80], fix, field) from None


def number_from_zero(value: Any, field: str) -> float | None:
    """Return a number of at least 0, None for None. Raises BadRow for another value."""
    if value is None:
        return None
    fix = f"write a number of 0 or more, or leave `{field}` out"
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise BadRow(f"`{field}` is no number of 0 or more", as_text(value)[:80], fix, field)
    return number


def token_count(value: Any, field: str) -> int | None:
    """Return a number of tokens as an integer, None for None."""
    number = number_from_zero(value, field)
    return None if number is None else round(number)


def parse_turns(value: Any, field: str) -> list[Mapping[str, Any]] | None:
    """Return the turns of a conversation; None for a value without turns, such as plain text.

    Raises BadRow for a list with other items than turns.
    """
    if isinstance(value, str) and value.lstrip()[:1] in {"[", "{"}:
        try:
            value = strict_json(value)
        except ValueError:
            return None
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        return None
    if not all(isinstance(turn, Mapping) for turn in value):
        raise BadRow(f"`{field}` is no list of turns", as_text(value)[:80],
                     'write [{"role": ..., "content": ...}]', field)  # fmt: skip
    return value


def last_text(turns: Sequence[Mapping[str, Any]], role: str) -> str | None:
    """Return the text of the last turn of a role that has text, None if there is none."""
    texts = [turn_text(turn) for turn in turns if turn.get("role", role) == role]
    return next((one for one in reversed(texts) if one), None)


def turn_text(turn: Mapping[str, Any]) -> str:
    """Return the text of a turn: its content, or its text parts, one a line."""
    content = turn.get("content", turn.get("parts"))
    if isinstance(content, str):
        return well_formed(content)
    parts = content if isinstance(content, list) else []
    kept = [part.get("content", part.get("text")) for part in parts
            if isinstance(part, Mapping) and part.get("type", "text") == "text"]  # fmt: skip
    return well_formed("\n".join(one for one in kept if isinstance(one, str)))
