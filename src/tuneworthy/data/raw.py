"""Types of an unchecked row, a bad row's fault and an imported row; the names of a row's fields."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tuneworthy.core.errors import DataError

MOST_UNREAD = 0.01  # the largest share of a file's records that may be lost unless told otherwise

ROW_FIELDS = ("input", "output", "messages", "accepted", "must_say", "must_not_say", "id", "group",
              "time", "context", "meta")  # fmt: skip
_FIELD_OF_ALIAS = {
    "prompt": "input", "question": "input", "query": "input", "text": "input", "instruction":
    "input", "completion": "output", "response": "output", "answer": "output", "label": "output",
    "target": "output", "conversation": "messages", "conversations": "messages",
}  # fmt: skip


def likely_name(names: Iterable[str], field: str) -> str | None:
    """Return the name that probably means a field (`question` for `input`), None if none does."""
    others = [name for name in names if name not in ROW_FIELDS]
    near = [name for name in others if _FIELD_OF_ALIAS.get(name.lower()) == field]
    return next(iter(near or difflib.get_close_matches(field, others, n=1, cutoff=0.6)), None)


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row with unchecked fields, and its place (`file:line` or `file:number`).

    `at` are the keys that lead to its list in a JSON document, such as ("results", "results"); ()
    if the file itself is the list.
    """

    where: str
    fields: dict[str, Any]
    at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """The fields of a row as `data/rows.py` reads them, and the systems' answers to it.

    `answers` maps a system to {"answer", "seconds"?, "usd"?, "tokens_in"?, "tokens_out"?}.
    Records of one `key` are one row; "" is a row of its own. `part` is `train`, `test` or `dev` for
    a row of a file with such parts, "" for any other. `repeat` counts how often a system answered
    the row so far, where the file says so.
    """

    fields: dict[str, Any]
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    key: str = ""
    part: str = ""
    repeat: int = 1


@dataclass(frozen=True)
class RowFault:
    """A bad row: its place (`file:line:column`), what is wrong, what was got, a fix, field, id.

    `lost` counts the records that are lost with it, `math.inf` where the file breaks and nobody
    knows how many would have followed. `misspelt`: its label differs from a frequent one only in
    case or spaces.
    """

    where: str
    why: str
    got: str = ""
    fix: str = ""
    field: str = ""
    id: str = ""
    lost: float = 1
    misspelt: bool = False

    def place(self) -> str:
        """Return the place of the row, with its field and id if known."""
        name = f", field `{self.field}`" if self.field else ""
        return self.where + name + (f", id {self.id}" if self.id else "")


class ReadCount:
    """Counts the records of a file that were read, and those that were lost (see `RowFault`)."""

    def __init__(self) -> None:
        self.read, self.lost = 0, 0.0
        self.first: RowFault | None = None

    def add(self, fault: RowFault | None = None) -> None:
        """Count a record that was read, or a fault and the records that it loses."""
        if fault is None:
            self.read += 1
            return
        self.lost += fault.lost
        if self.first is None or fault.lost > self.first.lost:
            self.first = fault

    def check(self, most: float, option: str) -> None:
        """Raise DataError if more than a share `most` of the records is lost; 1: any may be.

        One record may be lost in any case, unless the file breaks there. `option` is the option
        that allows more, "" for none.
        """
        if self.first is None or most >= 1:
            return
        if self.lost == math.inf:
            need, what = 1.0, f"only {self.read:,} records could be read, and the file breaks there"
        elif self.lost > max(1, most * (whole := self.read + int(self.lost))):
            need = min(1.0, self.lost / whole + 0.005)
            what = f"{self.lost:,.0f} of {whole:,} records can't be read"
        else:
            return
        raise DataError(
            f"{what}: {self.first.why}",
            where=self.first.place(), got=self.first.got, kept="your files",
            fix=f"{self.first.fix or 'correct the file'} (what is lost may tell another story)"
            + f", or use what can be read: {option} {need:.0%}" * bool(option),
        )  # fmt: skip


class BadRow(Exception):
    """Raised while a row is parsed; its arguments are why, got, fix, field."""
