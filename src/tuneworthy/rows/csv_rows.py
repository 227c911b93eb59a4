"""Read CSV rows: a header line, then one record per row; quoted fields may hold line breaks."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.records.errors import DataError
from tuneworthy.records.strict_json import strict_json
from tuneworthy.rows.bad_rows import RawRow, RowFault, likely_name
from tuneworthy.rows.lines import (
    MAX_LINE,
    check_text_file,
    decoded_line,
    read_lines,
    text_encoding,
)

_MAX_COLUMNS = 1_000
DELIMITER_OF = {".csv": ",", ".tsv": "\t"}
"""The column delimiter of a table, by the suffix of its file."""
DELIMITERS = ",\t;|"
_LEAST_SWALLOWED = 8  # lines of a cell from which they may be rows
_LIST_COLUMNS = {"accepted", "must_say", "must_not_say"}


def read_csv(path: Path, shown: str) -> Iterator[RawRow | RowFault]:
    """Return an iterator over the rows of a table of our fields.

    Raises DataError for an invalid header: a semicolon file, no known column, too many columns.
    """
    return read_table(path, shown, lambda cells: _checked_header(cells, shown, path))


def delimiter_of(path: Path) -> str:
    """Return the delimiter of a table: the most frequent one in its first line."""
    with path.open("rb") as file:
        first = file.readline(65_536).decode("utf-8-sig", "replace")
    return max(DELIMITERS, key=first.count)


def read_table(
    path: Path,
    shown: str,
    checked: Callable[[list[str]], list[str]] | None = None,
    strict: bool = True,
) -> Iterator[RawRow | RowFault]:
    """Yield the rows of a table with any column names.

    It is UTF-8 with the delimiter of its suffix; unless `strict`, with any encoding and delimiter.
    `checked` returns the names of the columns from the cells of the first line, or raises
    DataError; by default a repeated name is refused. Raises DataError for a first line that can't
    be read: without it the first row would be taken for the names.
    """
    header: list[str] | None = None
    mark = DELIMITER_OF.get(path.suffix.lower(), ",") if strict else delimiter_of(path)
    for number, cells in _csv_records(path, shown, mark, "utf-8" if strict else None):
        if isinstance(cells, RowFault):
            if header is None:
                raise DataError(f"the first line can't be read: {cells.why}", where=cells.where,
                                got=cells.got, fix=cells.fix)  # fmt: skip
            yield cells
        elif header is None:
            header = column_names(checked(cells) if checked else cells, f"{shown}:1")
        elif rows := _swallowed_rows(cells, mark):
            yield RowFault(f"{shown}:{number}", "a quoted field holds what look like rows",
                           f"{rows:,} of them", "close the quote where the field ends",
                           lost=rows + 1)  # fmt: skip
        elif any(cells):
            yield _make_row(f"{shown}:{number}", header, cells)


def _swallowed_rows(cells: list[str], mark: str) -> int:
    """Return how many lines of one cell look like rows of the table, 0 if few do.

    A quote that is never closed takes all rows up to the next quote at the end of a cell. Then the
    record's first and last line look like rows too; those of a text with lines seldom do.
    """
    at, lines = max(enumerate(cell.split("\n") for cell in cells), key=lambda one: len(one[1]))
    whole, inner = len(cells) - 1, lines[1:-1]
    alike = sum(line.count(mark) == whole for line in inner)
    if not whole or len(inner) < _LEAST_SWALLOWED or alike < 0.9 * len(inner):
        return 0
    first, last = lines[0].count(mark) == whole - at, lines[-1].count(mark) == at
    return alike if first and last and lines[0] and lines[-1] else 0


def json_texts(cell: str) -> list[str]:
    """Return the texts of a JSON list, [] for any other cell."""
    try:
        found = strict_json(cell)
    except ValueError:
        return []
    plain = isinstance(found, list) and all(isinstance(one, str) for one in found)
    return found if plain else []


def _make_row(where: str, header: list[str], cells: list[str]) -> RawRow | RowFault:
    if len(cells) != len(header):
        got = f"{len(cells)} columns where the header has {len(header)}"
        return RowFault(where, "ragged row", got, "quote fields that hold a comma or a line break")
    fields: dict[str, Any] = {
        key: cell for key, cell in zip(header, cells, strict=True) if key and cell != ""
    }
    for key in _LIST_COLUMNS & fields.keys():
        if fields[key].lstrip().startswith("["):
            try:
                fields[key] = strict_json(fields[key])
            except ValueError as error:
                return RowFault(
                    where, "a list that is not JSON", str(error), 'write ["a", "b"]', key
                )
    return RawRow(where, fields)


def _csv_records(
    path: Path, shown: str, delimiter: str, encoding: str | None
) -> Iterator[tuple[int, list[str] | RowFault]]:
    """Yield (line number, cells or fault) of each record of a CSV file, header included.

    `encoding` None: that of its letters.
    """
    skip = check_text_file(path, shown)
    encoding = encoding or text_encoding(path)
    held: list[str] = []
    start, size, open_quote = 0, 0, False
    for line in read_lines(path, skip):
        text = decoded_line(line, shown, encoding)
        if isinstance(text, RowFault):
            held, size, open_quote = [], 0, False
            yield line.number, text
            continue
        start = line.number if not held else start
        held.append(text)
        size += len(text)
        open_quote ^= text.count('"') % 2 == 1
        if not open_quote:
            yield start, _split_cells("\n".join(held), delimiter, f"{shown}:{start}", len(held))
        elif size > MAX_LINE:
            yield start, _unclosed_quote(f"{shown}:{start}", held)
        else:
            continue
        held, size, open_quote = [], 0, False
    if held:
        yield start, _unclosed_quote(f"{shown}:{start}", held)


def _unclosed_quote(where: str, lines: list[str]) -> RowFault:
    fix = "close the quote, or double it inside a field"
    return RowFault(where, "a quote is never closed", lines[0][:200], fix, lost=len(lines))


def _split_cells(text: str, delimiter: str, where: str, lines: int) -> list[str] | RowFault:
    if '"' not in text:
        return text.split(delimiter)
    csv.field_size_limit(MAX_LINE)
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        return RowFault(where, "wrong quotes", f"{error}: {text[:120]}",
                     "quote whole fields and double a quote inside them", lost=lines)  # fmt: skip


def _checked_header(cells: list[str], shown: str, path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        mark = ";" if ";" in names[0] else "a tab"
        raise DataError(
            f"columns are parted by {mark}, not by a comma", where=f"{shown}:1", got=names[0],
            fix="save it with commas" if mark == ";" else f"rename it to {path.stem}.tsv",
        )  # fmt: skip
    if "input" not in names:
        similar = {field: likely_name(names, field) for field in ("input", "output")}
        renamed = [f"`{name}` to `{field}`" for field, name in similar.items() if name]
        given = " ".join(f'--{field} "{name}"' for field, name in similar.items() if name)
        columns = "the first line names the columns: input,output (and id, group, time, context)"
        raise DataError(
            "the header has no column `input`", where=f"{shown}:1", got=", ".join(names),
            fix=f"in the first line, rename {' and '.join(renamed)}, or let `tuneworthy init"
            f" {path.name} {given}` read it as it is" if renamed else columns,
        )  # fmt: skip
    return names


def column_names_of(path: Path) -> list[str]:
    """Return the column names in the first line of a table, [] if it can't be read."""
    cells = next(_csv_records(path, path.name, delimiter_of(path), None), (0, []))[1]
    return [] if isinstance(cells, RowFault) else [cell.strip() for cell in cells if cell.strip()]


def column_names(cells: Sequence[str], where: str) -> list[str]:
    """Return a table's column names. Raises DataError for too many, or for a name that repeats.

    One of two columns of a name would be read in place of the other.
    """
    names = [cell.strip() for cell in cells]
    if len(names) > _MAX_COLUMNS:
        raise DataError("the header has too many columns", where=where,
                        got=f"{len(names):,} columns", fix="keep `input` and `output`")  # fmt: skip
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise DataError("a column stands twice", where=where, got=twice, fix="rename one")
    return names
