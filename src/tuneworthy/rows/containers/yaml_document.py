"""A YAML document with lists of records, as the test files of some tools are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import inf
from pathlib import Path

from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.containers._heads import text_start
from tuneworthy.rows.containers._json_stream import record_of_item, records_in_value
from tuneworthy.rows.lines import WINDOWS_ENCODING, text_encoding

FORM = "a YAML document"
ORDER = 3
_MOST_BYTES = 20_000_000  # bytes: YAML is read whole
_MOST_NODES = 2_000_000  # values, aliases written out


def opens(path: Path, head: bytes) -> bool:
    """Return whether a text file has a YAML suffix: its content can't tell it from prose."""
    return path.suffix.lower() in {".yaml", ".yml"} and bool(text_start(head))


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield the mappings of the document's lists. Raises DataError above 20 MB."""
    from tuneworthy.rows import plain_yaml

    if path.stat().st_size > _MOST_BYTES:
        raise DataError("a YAML file of this size is too slow to read", where=path.name,
                        got=f"{path.stat().st_size:,} bytes", fix="save it as JSON",
                        kept="")  # fmt: skip
    try:
        found = text_encoding(path)
        text = path.read_text(found if found == WINDOWS_ENCODING else "utf-8-sig", "replace")
        value = plain_yaml.parse(text, path.name, _MOST_NODES, sections=True).data
    except (TaskError, ValueError) as error:
        if not isinstance(error, TaskError):
            error = TaskError("the file is not UTF-8", where=path.name, got=str(error))
        yield RowFault(error.where, error.what, error.got, error.fix or "correct it", lost=inf)
        return
    count: Counter[tuple[str, ...]] = Counter()
    for item in records_in_value(value):
        yield record_of_item(path.name, item, count)
