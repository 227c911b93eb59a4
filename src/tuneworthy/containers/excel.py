"""A sheet of an Excel file, row by row: the first that holds a table."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from math import inf
from pathlib import Path
from xml.etree.ElementTree import ParseError

from tuneworthy.containers._sheet import sheet_rows, table_sheet
from tuneworthy.core.imported import SourceRecord
from tuneworthy.data.csv_rows import column_names
from tuneworthy.data.raw import RowFault

FORM = "an Excel sheet"
ORDER = 0


def opens(path: Path, head: bytes) -> bool:
    """Return whether a zip archive holds a workbook."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def form_of(path: Path) -> str:
    """Return which sheet is read if there are several, "" for a single one."""
    with zipfile.ZipFile(path) as book:
        _, name, count = table_sheet(book)
    return f"the sheet `{name}` of {count}" if count > 1 else ""


def records(path: Path) -> Iterator[SourceRecord | RowFault]:
    """Yield each row as {column name: cell}; the names are the first row that is not empty."""
    header: dict[int, str] = {}
    number = 0
    try:
        with zipfile.ZipFile(path) as book:
            for number, row in sheet_rows(book):
                if not header:
                    names = column_names([str(value) for value in row.values()], path.name)
                    header = dict(zip(row, names, strict=True))
                    continue
                named = {header[at]: value for at, value in row.items() if at in header}
                if named:
                    yield SourceRecord(f"{path.name}:{number}", (), named)
    except (ParseError, ValueError, KeyError, IndexError, OSError, zipfile.BadZipFile) as error:
        got = f"{type(error).__name__}: {error}"[:200]
        where = f"{path.name}:{number + 1}"
        yield RowFault(where, "the Excel file ends or breaks here", got, "save it again", lost=inf)
