"""Read the sheet of a workbook that holds a table, with the standard library alone.

A cell is text, a number, true or false; a number that is shown as a date becomes an ISO date.
Source: ECMA-376, part 1, 18.3 (worksheets), 18.8 (styles).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any
from xml.etree.ElementTree import Element, iterparse
from zipfile import ZipFile

MOST_SHEET_BYTES = 2_000_000_000  # bytes of a part of the workbook, unpacked
LEAST_TABLE_ROWS = 8  # rows of two cells or more from which a sheet is a table
_DATE_FORMATS = {*range(14, 23), *range(45, 48)}  # numbers of the built-in formats that show dates
# Quoted text, [brackets] and escaped characters of a number format: none is a date code.
_LITERAL_PARTS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
_DAY_ZERO = datetime(1899, 12, 30)


def sheet_rows(book: ZipFile) -> Iterator[tuple[int, dict[int, Any]]]:
    """Yield (row number, {column from 0: value}) of the sheet. Raises ValueError or KeyError.

    Formulas give the value that the spreadsheet program kept.
    """
    shared = [_element_text(one) for one in _elements(book, "xl/sharedStrings.xml", "si")]
    dates = _date_styles(book)
    number = 0
    for row in _elements(book, table_sheet(book)[0], "row"):
        number = int(row.get("r", number + 1))
        found: dict[int, Any] = {}
        at = -1
        for cell in row:
            at = _column_index(cell.get("r", ""), at + 1)
            value = _cell_value(cell, shared, dates)
            if value not in (None, ""):
                found[at] = value
        yield number, found


def _elements(book: ZipFile, name: str, tag: str) -> Iterator[Element]:
    """Yield a part's elements of one tag, emptied after use; none if the part is missing."""
    if name not in book.namelist():
        return
    if book.getinfo(name).file_size > MOST_SHEET_BYTES:
        raise ValueError(f"{name} is larger than {MOST_SHEET_BYTES:,} bytes")
    with book.open(name) as file:
        wanted = f"}}{tag}"
        for _, element in iterparse(file):
            if element.tag.endswith(wanted):
                yield element
                element.clear()


def table_sheet(book: ZipFile) -> tuple[str, str, int]:
    """Return the part and the name of the sheet to read, and the number of sheets.

    It is the first with LEAST_TABLE_ROWS rows of two cells or more, else the first: workbooks often
    begin with a sheet of explanations.
    """
    sheets = _sheets(book)
    tables = (one for one in sheets if _is_table(book, one[0])) if len(sheets) > 1 else iter(())
    part, name = next(tables, sheets[0])
    return part, name, len(sheets)


def _is_table(book: ZipFile, part: str) -> bool:
    wide = (row for row in _elements(book, part, "row") if sum(len(cell) > 0 for cell in row) > 1)
    return sum(1 for _ in islice(wide, LEAST_TABLE_ROWS)) == LEAST_TABLE_ROWS


def _sheets(book: ZipFile) -> list[tuple[str, str]]:
    """Return (part, name) of each sheet in order, at least one. Raises ValueError for none."""
    names = [name for name in book.namelist() if re.fullmatch(r"xl/worksheets/[^/]+\.xml", name)]
    relations = {one.get("Id"): one.get("Target", "") for one in
                 _elements(book, "xl/_rels/workbook.xml.rels", "Relationship")}  # fmt: skip
    found = []
    for sheet in _elements(book, "xl/workbook.xml", "sheet"):
        own = next((value for key, value in sheet.attrib.items() if key.endswith("}id")), "")
        target = relations.get(own, "").lstrip("/")
        path = target if target.startswith("xl/") else f"xl/{target}"
        if path in names:
            found.append((path, sheet.get("name", "")))
    return found or [(min(names, key=lambda name: (len(name), name)), "")]


def _column_index(place: str, follows: int) -> int:
    letters = place.rstrip("0123456789")
    return _index_of_letters(letters) if letters else follows


@lru_cache
def _index_of_letters(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1


def _cell_value(cell: Element, shared: list[str], dates: set[str]) -> Any:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        plain = len(cell) == 1 and len(cell[0]) == 1 and cell[0][0].tag.endswith("}t")
        return cell[0][0].text if plain else _element_text(cell)
    text = next((one.text for one in cell if one.tag.endswith("}v")), None)
    if text is None or kind == "e":
        return None
    if kind == "s":
        return shared[int(text)]
    if kind == "b":
        return text == "1"
    if kind != "n":
        return text
    value = float(text)
    if cell.get("s") in dates and 0 <= value < 2_958_466:
        moment = _DAY_ZERO + timedelta(seconds=round(86_400 * value))
        return moment.date().isoformat() if value.is_integer() else moment.isoformat()
    return int(value) if value.is_integer() else value


def _element_text(element: Element) -> str:
    return "".join(one.text or "" for one in element.iter() if one.tag.endswith("}t"))


def _date_styles(book: ZipFile) -> set[str]:
    """Return the numbers, as text, of the cell styles that show a number as a date."""
    own = {one.get("numFmtId"): one.get("formatCode", "") for one in
           _elements(book, "xl/styles.xml", "numFmt")}  # fmt: skip
    shown = {str(number) for number in _DATE_FORMATS}
    shown |= {str(key) for key, code in own.items() if re.search(r"[ymdhs]",
              _LITERAL_PARTS.sub("", code.lower()))}  # fmt: skip
    found: set[str] = set()
    for table in _elements(book, "xl/styles.xml", "cellXfs"):
        found = {str(at) for at, style in enumerate(table) if style.get("numFmtId") in shown}
    return found
