"""A sheet of an Excel file, row by row: the first that holds a table."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import reduce
from itertools import islice
from math import inf, prod
from pathlib import Path
from typing import Any

from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.containers._heads import ZIP_FAULTS, too_large
from tuneworthy.rows.csv_rows import column_names

FORM = "an Excel sheet"
ORDER = 0
_MOST_PART_BYTES = 2_000_000_000  # bytes of a part of the workbook, unpacked
_MOST_CELLS = 100_000_000  # of a sheet's rows times columns: each takes memory, empty ones too
_CELL_PLACE = re.compile(rb"""<(?:\w+:)?(?:c|row)\b[^>]*?\br=["']([A-Z]{0,3})([0-9]{1,7})["']""")
_CHUNK_BYTES = 1 << 20
_LEAST_TABLE_ROWS = 8  # rows of two cells or more from which a sheet is a table


def opens(path: Path, head: bytes) -> bool:
    """Return whether a zip archive holds a workbook."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except ZIP_FAULTS:
        return False


def form_of(path: Path) -> str:
    """Return which sheet is read if there are several, "" for a single one or a broken file."""
    sheets = _sheets(path)
    if isinstance(sheets, str):
        return ""
    return f"the sheet `{_table_of(sheets).name}` of {len(sheets)}" if len(sheets) > 1 else ""


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield each row as {column name: cell}; the names are the first row that is not empty.

    Formulas give the value that the spreadsheet program kept, dates are ISO texts.
    """
    sheets = _sheets(path)
    if isinstance(sheets, str):
        yield RowFault(f"{path.name}:1", "the Excel file is broken", sheets, "save it again",
                       lost=inf)  # fmt: skip
        return
    header: dict[int, str] = {}
    for number, cells in enumerate(_table_of(sheets).iter_rows(), 1):
        row = {at: _plain(value) for at, value in enumerate(cells) if value != ""}
        if not header and row:
            names = column_names([str(value) for value in row.values()], path.name)
            header = dict(zip(row, names, strict=True))
            continue
        named = {header[at]: value for at, value in row.items() if at in header}
        if named:
            yield RawRow(f"{path.name}:{number}", named)


def _sheets(path: Path) -> list[Any] | str:
    """Return the sheets of a workbook, at least one; or what is wrong with the file."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum

    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                if fault := too_large(part, _MOST_PART_BYTES) or _too_wide(archive, part):
                    return fault
        book = CalamineWorkbook.from_path(str(path))
        tables = [each for each in book.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
        return [book.get_sheet_by_name(each.name) for each in tables] or "it has no sheet"
    except (CalamineError, *ZIP_FAULTS) as error:
        return f"{type(error).__name__}: {error}"[:200]


def _too_wide(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> str:
    """Return that a sheet's last row and column span too many cells; "" if not, or for no sheet.

    The reader makes a cell of each place up to the last, in memory.
    """
    if "worksheets/" not in part.filename:
        return ""
    rows, columns, tail = set[bytes](), set[bytes](), b""
    with archive.open(part) as file:
        while chunk := file.read(_CHUNK_BYTES):
            for column, row in _CELL_PLACE.findall(tail + chunk):
                rows.add(row)
                columns.add(column)
            tail = (tail + chunk)[-_CHUNK_BYTES:]
            tail = tail[max(0, tail.rfind(b"<")) :]  # a tag that the next chunk ends
    spans = [max(at) - min(at) + 1 for at in (
        [*map(int, rows)], [_column_number(name) for name in columns if name]) if at]  # fmt: skip
    if prod(spans) <= _MOST_CELLS:
        return ""
    return f"{part.filename} spans {spans[0]:,} rows and {spans[1]:,} columns; delete stray cells"


def _column_number(name: bytes) -> int:
    """Return the number of a column from 1, given its letters: A is 1, AA is 27."""
    return reduce(lambda number, letter: 26 * number + letter - 64, name, 0)


def _table_of(sheets: list[Any]) -> Any:
    """Return the first sheet with _LEAST_TABLE_ROWS rows of two cells or more, else the first.

    Workbooks often begin with a sheet of explanations.
    """
    for sheet in sheets:
        wide = (row for row in sheet.iter_rows() if sum(value != "" for value in row) > 1)
        if sum(1 for _ in islice(wide, _LEAST_TABLE_ROWS)) == _LEAST_TABLE_ROWS:
            return sheet
    return sheets[0]


def _plain(value: Any) -> Any:
    """Return a cell as text, number, true or false."""
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
