"""The first sheet of an Excel file, row by row (needs openpyxl)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from tuneworthy.containers._heads import package
from tuneworthy.core.imported import SourceRecord
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


def records(path: Path) -> Iterator[SourceRecord | RowFault]:
    """Yield the cells of each row by the names in the first row that holds any."""
    openpyxl = package("openpyxl", path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # a damaged archive raises many kinds
        yield RowFault(path.name, "the Excel file can't be read", str(error)[:200], "save it again")
        return
    header: list[str] = []
    for number, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
        if not header:
            header = ["" if cell is None else str(cell).strip() for cell in cells]
            header = header if any(header) else []
            continue
        pairs = zip(header, cells, strict=False)
        row = {name: _plain(cell) for name, cell in pairs if name and cell not in (None, "")}
        if row:
            yield SourceRecord(f"{path.name}:{number}", (), row)
    book.close()


def _plain(cell: Any) -> Any:
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
