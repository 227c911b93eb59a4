"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.containers._heads import text_start
from tuneworthy.rows.lines import read_jsonl

FORM = "JSON Lines"
ORDER = 1
_LOOKED_LINES = 3


def opens(path: Path, head: bytes) -> bool:
    """Return whether the first line is a whole object (or too long to see its end).

    In a file that is named so, one of the first lines is enough: another may be damaged.
    """
    start = text_start(head)
    if not path.is_file() or start[:1] == b"[":
        return False
    lines = start.split(b"\n", _LOOKED_LINES)
    if path.suffix.lower() not in {".jsonl", ".ndjson"}:
        lines = lines[:1]
    long = start[:1] == b"{" and b"\n" not in start and path.stat().st_size > len(head)
    return long or any(map(_is_object, lines[:_LOOKED_LINES]))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)  # what is wrong in it is the reader's to say
    except (ValueError, RecursionError):
        return False


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Return the row of each line that is an object, the fault of each other line."""
    return read_jsonl(path, path.name, strict=False)
