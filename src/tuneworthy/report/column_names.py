"""Column names in table cells: a narrow screen shows a row as a list, without the table's head."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_TABLE = re.compile(r'<table class="plain stack.*?</table>', re.DOTALL)
_HEADING = re.compile(r"<t[dh][^>]*>(.*?)</t[dh]>", re.DOTALL)
_ROW = re.compile(r"<tr.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<t[dh]\b")


def name_cells(html: str) -> str:
    """Return the page with each data cell's column name in `data-of`, in tables that stack."""
    return _TABLE.sub(lambda table: _name_cells_of_table(table[0]), html)


def _name_cells_of_table(table: str) -> str:
    head, end, body = table.partition("</thead>")
    names = [str(escape(Markup(name).striptags())) for name in _HEADING.findall(head)]
    return head + end + _ROW.sub(lambda row: _name_cells_of_row(row[0], names), body)


def _name_cells_of_row(row: str, names: list[str]) -> str:
    """Return a table row with its data cells named; unchanged if a cell spans columns."""
    if "colspan" in row or len(_CELL.findall(row)) != len(names):
        return row
    left = iter(names)

    def cell(tag: re.Match[str]) -> str:
        name = next(left)
        return f'<td data-of="{name}"' if tag[0] == "<td" and name else tag[0]

    return _CELL.sub(cell, row)
