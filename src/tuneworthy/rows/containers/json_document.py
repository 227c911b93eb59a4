"""A JSON document: an array of records, or an object with lists of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import inf
from pathlib import Path

from tuneworthy.records.strict_json import RefusedJson
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.containers._heads import text_start
from tuneworthy.rows.containers._json_stream import document_records, record_of_item
from tuneworthy.rows.lines import WINDOWS_ENCODING, text_encoding

FORM = "a JSON document"
ORDER = 2


def opens(path: Path, head: bytes) -> bool:
    """Return whether a file starts like a JSON array or object."""
    return path.is_file() and text_start(head)[:1] in {b"[", b"{"}


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield the objects of the document's lists, numbered from 1 in each list."""
    count: Counter[tuple[str, ...]] = Counter()
    found = text_encoding(path)
    try:
        encoding = found if found == WINDOWS_ENCODING else "utf-8-sig"
        with path.open(encoding=encoding, errors="replace") as file:
            for item in document_records(file):
                yield record_of_item(path.name, item, count)
    except (ValueError, RecursionError) as error:
        what, got, fix = "the document ends or breaks here", str(error), "save or copy it again"
        if isinstance(error, RecursionError):
            what, got, fix = "the document is nested too deep", "", "save it with fewer levels"
        elif isinstance(error, RefusedJson):
            what, got, fix = error.what, error.got, error.fix
        where = f"{path.name}:{max(count.values(), default=0) + 1}"
        yield RowFault(where, what, got, fix, lost=inf)
