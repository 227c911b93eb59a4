"""A YAML document with lists of records, as the test files of some tools are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.containers._heads import text_start
from tuneworthy.containers._json_stream import records_in_value
from tuneworthy.core.errors import DataError
from tuneworthy.core.imported import SourceRecord
from tuneworthy.data.lines import WINDOWS_ENCODING, text_encoding
from tuneworthy.data.raw import RowFault

FORM = "a YAML document"
ORDER = 3
_MOST_BYTES = 20_000_000  # bytes: YAML is read whole


def opens(path: Path, head: bytes) -> bool:
    """Return whether a text file has a YAML suffix: its content can't tell it from prose."""
    return path.suffix.lower() in {".yaml", ".yml"} and bool(text_start(head))


def records(path: Path) -> Iterator[SourceRecord | RowFault]:
    """Yield the mappings of the document's lists. Raises DataError above 20 MB."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if path.stat().st_size > _MOST_BYTES:
        raise DataError("a YAML file of this size is too slow to read", where=path.name,
                        got=f"{path.stat().st_size:,} bytes", fix="save it as JSON",
                        kept="")  # fmt: skip
    try:
        found = text_encoding(path)
        text = path.read_text(found if found == WINDOWS_ENCODING else "utf-8-sig", "replace")
        value = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        yield RowFault(path.name, "not YAML", str(error)[:200], "correct the file")
        return
    count: Counter[tuple[str, ...]] = Counter()
    for at, record in records_in_value(value):
        count[at] += 1
        yield SourceRecord(f"{path.name}:{count[at]}", at, record)
