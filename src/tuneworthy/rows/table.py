"""Open a file of records once, whatever its form: a table, JSON, Excel, Parquet, a folder.

`rows/containers/` has a plug-in for each form. What task.yaml names is read by
`rows/rows.py`, strictly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from tuneworthy.records.plugins import catalogue, load
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.csv_rows import DELIMITER_OF, column_names_of, delimiter_of, json_texts
from tuneworthy.rows.lines import WINDOWS_ENCODING, check_text_file, text_encoding

_SAMPLED_RECORDS = 1_000  # a file is recognised by its first records
_HEAD_BYTES = 65_536
_TEXT_FORMS = {"json_lines", "json_document", "yaml_document", "table"}


@dataclass(frozen=True)
class Table:
    """A file of records, opened: its form and its first records.

    `form_name` is the plug-in that reads it. `known` is False for a file of no known form, which
    is read as lines, so that what is wrong with each is told.
    """

    path: Path
    form_name: str
    sample: tuple[RawRow | RowFault, ...]
    known: bool = True

    @property
    def form(self) -> ModuleType:
        """Return the plug-in that reads the file."""
        return load("containers", self.form_name)

    def records(self) -> Iterator[RawRow | RowFault]:
        """Yield the records of all lists of the file, and its faults; cells as their values."""
        for one in self.form.records(self.path):
            yield _with_cell_values(one, self.form_name)

    def rows(self) -> Iterator[RawRow | RowFault]:
        """Yield the records of the file's longest list, and its faults."""
        for one in self.records():
            if isinstance(one, RowFault) or one.at == self.at:
                yield one

    @cached_property
    def sampled(self) -> list[RawRow]:
        """Return the first records, without faults."""
        return [one for one in self.sample if isinstance(one, RawRow)]

    @cached_property
    def at(self) -> tuple[str, ...]:
        """Return the keys that lead to the longest list of a document (ties: the first)."""
        counts = Counter(record.at for record in self.sampled)
        return max(counts, key=lambda one: counts[one], default=())

    @cached_property
    def head(self) -> Sequence[Mapping[str, Any]]:
        """Return the fields of the first records of the longest list."""
        return [record.fields for record in self.sampled if record.at == self.at]

    @cached_property
    def columns(self) -> list[str]:
        """Return the columns of the longest list, those of a table also where no row fills them."""
        header = column_names_of(self.path) if self.form_name == "table" else ()
        return list(dict.fromkeys([*header, *(key for row in self.head for key in row)]))

    @cached_property
    def split(self) -> str:
        """Return the column of each row's split where the names of a folder's files tell it."""
        return str(self.form.split_of(self.path)) if hasattr(self.form, "split_of") else ""

    @property
    def has_cells(self) -> bool:
        """Return whether it is a table, whose records lack the columns of their empty cells."""
        return _has_cells(self.form_name)

    @cached_property
    def is_windows(self) -> bool:
        """Return whether it is a text file whose letters are Windows-1252, not UTF-8."""
        return self.form_name in _TEXT_FORMS and text_encoding(self.path) == WINDOWS_ENCODING

    @property
    def is_plain(self) -> bool:
        """Return whether `rows/rows.py` reads the file as it is: UTF-8, lines or usual marks."""
        mark = DELIMITER_OF.get(self.path.suffix.lower())
        if self.form_name == "table":
            return mark == delimiter_of(self.path) and not self.is_windows
        return self.form_name == "json_lines" and mark is None and not self.is_windows

    def as_document(self) -> Table:
        """Return the lists inside a document that stands on one line; the table itself if none."""
        if self.form_name != "json_lines" or len(self.sample) != 1 or not self.sampled:
            return self
        holds = (isinstance(one, dict) or (isinstance(one, list) and one and
                 isinstance(one[0], dict)) for one in self.sampled[0].fields.values())  # fmt: skip
        return _open_in_form(self.path, "json_document") if any(holds) else self

    @property
    def form_text(self) -> str:
        """Return the name of the form, such as "a table (TSV)" by the mark between columns."""
        named = self.form.form_of(self.path) if hasattr(self.form, "form_of") else ""
        mark = delimiter_of(self.path) if self.form_name == "table" else ","
        special = {"\t": "a table (TSV)", "|": "a table (columns parted by |)"}
        return special.get(mark, str(named or self.form.FORM))


def open_table(path: Path) -> Table:
    """Return a file of records in the first of its possible forms in which records can be read.

    Raises DataError for a table with a broken header, and for a file of no known form that is no
    text either: a compressed one, an empty one.
    """
    first: Table | None = None
    for name in _possible_forms(path):
        found = _open_in_form(path, name)
        if found.sampled:
            return found
        first = first or found
    if first is not None:
        return first
    check_text_file(path, str(path))
    return replace(_open_in_form(path, "json_lines"), known=False)


def open_rows(path: Path) -> Table:
    """Return a file's table; a single line with lists of objects, no row itself, is a document."""
    table = open_table(path)
    row = any({"messages", "input"} & one.fields.keys() for one in table.sampled[:1])
    return table if row else table.as_document()


def _open_in_form(path: Path, form_name: str) -> Table:
    records = load("containers", form_name).records(path)
    sample = (_with_cell_values(one, form_name) for one in islice(records, _SAMPLED_RECORDS))
    return Table(path, form_name, tuple(sample))


def _has_cells(form_name: str) -> bool:
    return form_name not in _TEXT_FORMS - {"table"}


def _with_cell_values(one: RawRow | RowFault, form_name: str) -> RawRow | RowFault:
    """Return a record with the JSON lists of texts that stand in its cells as lists."""
    if isinstance(one, RowFault) or not _has_cells(form_name):
        return one
    lists = {key: found for key, cell in one.fields.items()
             if isinstance(cell, str) and cell.startswith('["') and (found := json_texts(cell))
             }  # fmt: skip
    return RawRow(one.where, {**one.fields, **lists}, one.at) if lists else one


def _possible_forms(path: Path) -> list[str]:
    """Return the forms that a file may have, the likeliest first."""
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    forms = {name: load("containers", name) for name in catalogue("containers")}
    able = [name for name, form in forms.items() if form.opens(path, head)]
    return sorted(able, key=lambda name: getattr(forms[name], "ORDER", 9))
