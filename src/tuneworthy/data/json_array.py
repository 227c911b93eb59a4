"""Read a file that is one JSON array of objects, where JSON Lines are usual."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuneworthy.core.errors import DataError
from tuneworthy.core.strict_json import RefusedJson, strict_json
from tuneworthy.data.jsonl import convert_fix
from tuneworthy.data.lines import check_text_file, text_encoding
from tuneworthy.data.raw import RawRow, RowFault
from tuneworthy.data.rows import as_text

MOST_BYTES = 256_000_000  # of a file that is read whole


def is_array(path: Path) -> bool:
    """Return whether a text file is one JSON array. Raises DataError if it can't be read."""
    skip = check_text_file(path, path.name)
    with path.open("rb") as file:
        return file.read(skip + 4096)[skip:].lstrip().startswith(b"[")


def array_rows(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield the rows of a JSON array. Raises DataError for a file that is too large or broken."""
    skip = check_text_file(path, path.name)
    if path.stat().st_size > MOST_BYTES:
        raise DataError(
            "a JSON array of this size is not read",
            where=path.name,
            got=f"{path.stat().st_size:,} bytes",
            fix=convert_fix(path, ".[]"),
        )
    try:
        values = strict_json(path.read_bytes()[skip:].decode(text_encoding(path)))
    except RefusedJson as error:
        raise DataError(f"the file is refused: {error.what}", where=path.name, got=error.got,
                        fix=error.fix) from None  # fmt: skip
    except ValueError as error:
        raise DataError("the file is no whole JSON array", where=path.name, got=str(error),
                        fix="copy the file again: half of it may be missing") from None  # fmt: skip
    for number, value in enumerate(values, 1):
        where = f"{path.name}, row {number}"
        if isinstance(value, dict):
            yield RawRow(where, value)
        else:
            yield RowFault(where, "a row that is no object", as_text(value)[:80])
