"""A CSV or TSV table with any column names; its first line shows the delimiter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.containers._heads import text_start
from tuneworthy.rows.csv_rows import DELIMITERS, read_table

FORM = "a table (CSV)"
ORDER = 4


def opens(path: Path, head: bytes) -> bool:
    """Return whether a text file has a delimiter in its first line, or a table's suffix."""
    start = text_start(head)
    if not start or start[:1] in {b"[", b"{"}:
        return False
    named = path.suffix.lower() in {".csv", ".tsv"}
    return named or any(mark in _first_line(start) for mark in DELIMITERS)


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Return each row as {column name: cell}. Raises DataError for a broken header."""
    return read_table(path, path.name, strict=False)


def _first_line(start: bytes) -> str:
    return start.partition(b"\n")[0].decode("utf-8", "replace")
