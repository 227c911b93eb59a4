"""Store a value that is too large for a row of the database in parts, each a row of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tuneworthy.core.errors import StoreError
from tuneworthy.core.record import digest

MOST = 4_000_000  # the most characters of one row; SQLite and Postgres allow 1 GB
PART = "part"  # kind of a row that holds a part
_MARK = "stored in parts"


def in_parts(text: str, put: Callable[[str, dict[str, Any]], object]) -> dict[str, Any]:
    """Store a text in pieces by `put(key, value)`; return the value that lists their keys.

    The key of a piece is the hash of its content, so a killed write is continued, not repeated.
    """
    names = []
    for start in range(0, len(text), MOST):
        piece = {PART: text[start : start + MOST]}
        names.append(digest(piece))
        put(names[-1], piece)
    return {_MARK: names}


def joined(content: dict[str, Any], get: Callable[[str], Any], where: str) -> dict[str, Any]:
    """Return the stored value, joined from its pieces by `get(key)` if it is in parts.

    Raises StoreError if a piece is missing or was changed.
    """
    if set(content) != {_MARK}:
        return content
    pieces = [(key, get(key)) for key in content[_MARK]]
    lost = [key for key, piece in pieces if piece is None or digest(piece) != key]
    if lost:
        raise StoreError(
            "a part of a stored value is not there, or was changed",
            where=where,
            got=f"{len(lost)} of {len(pieces)} parts, first {lost[0][:8]}",
            fix="restore the ledger from a backup, or remove it and run again",
            kept="the store as it is, untouched",
        )
    value: dict[str, Any] = json.loads("".join(piece[PART] for _, piece in pieces))
    return value
