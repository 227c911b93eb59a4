"""A Parquet file, read in batches (needs pyarrow)."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from pathlib import Path

from tuneworthy.containers._arrow import numbered_rows
from tuneworthy.containers._heads import optional_package
from tuneworthy.data.raw import RawRow, RowFault

FORM = "a Parquet file"
ORDER = 0


def opens(path: Path, head: bytes) -> bool:
    """Return whether a file has Parquet's first bytes."""
    return head.startswith(b"PAR1")


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield the rows of the file as records, numbered from 1."""
    parquet, arrow = optional_package("pyarrow.parquet", path), optional_package("pyarrow", path)
    try:
        with parquet.ParquetFile(path) as file:
            yield from numbered_rows(file.schema_arrow, file.iter_batches(2_000), path.name)
    except (arrow.ArrowException, OSError, ValueError) as error:
        yield RowFault(
            path.name, "the Parquet file can't be read", str(error)[:200], "save it again", lost=inf
        )
