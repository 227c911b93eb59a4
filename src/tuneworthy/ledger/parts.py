"""Store a value that is too large for a row of the database in parts, each a row of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from tuneworthy.core.errors import StoreError
from tuneworthy.core.record import digest

LARGEST_PART = 4_000_000  # the most characters of one row; SQLite allows 1 GB
PART_KEY = "part"  # kind of a row that holds a part, and the key of its text
PARTS_KEY = "stored in parts"  # the one key of the value that lists them


def in_parts(
    pieces: Iterable[str], put: Callable[[str, dict[str, Any]], object]
) -> tuple[str, dict[str, Any]]:
    """Store a text that comes in pieces by `put(key, value)`; return (its end, the parts' names).

    A text of at most LARGEST_PART characters is its own end, and has no parts. Else the second
    value stands under the text's key. The key of a part is the hash of its content, so a killed
    write is continued, not repeated.
    """
    names: list[str] = []
    rest = ""

    def store(text: str) -> None:
        piece = {PART_KEY: text}
        names.append(digest(piece))
        put(names[-1], piece)

    for piece in pieces:
        rest += piece
        # The end is never empty.
        whole = (len(rest) - 1) // LARGEST_PART * LARGEST_PART if rest else 0
        for start in range(0, whole, LARGEST_PART):
            store(rest[start : start + LARGEST_PART])
        rest = rest[whole:]
    if names:
        store(rest)
    return rest, {PARTS_KEY: names}


def joined(content: dict[str, Any], get: Callable[[str], Any], where: str) -> dict[str, Any]:
    """Return the stored value, joined from its pieces by `get(key)` if it is in parts.

    Raises StoreError if a piece is missing or was changed.
    """
    if set(content) != {PARTS_KEY}:
        return content
    pieces = [(key, get(key)) for key in content[PARTS_KEY]]
    lost = [key for key, piece in pieces if piece is None or digest(piece) != key]
    if lost:
        raise StoreError(
            "a part of a stored value is not there, or was changed",
            where=where,
            got=f"{len(lost)} of {len(pieces)} parts, first {lost[0][:8]}",
            fix="restore the ledger from a backup, or remove it and run again",
            kept="the store as it is, untouched",
        )
    value: dict[str, Any] = json.loads("".join(piece[PART_KEY] for _, piece in pieces))
    return value
