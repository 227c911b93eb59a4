"""Types of an unchecked row and of a bad row's fault; the names of a row's fields."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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
    """One row with unchecked fields, and its place (`file:line`)."""

    where: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class RowFault:
    """A bad row: its place (`file:line:column`), what is wrong, what was got, a fix, field, id."""

    where: str
    why: str
    got: str = ""
    fix: str = ""
    field: str = ""
    id: str = ""

    def place(self) -> str:
        """Return the place of the row, with its field and id if known."""
        name = f", field `{self.field}`" if self.field else ""
        return self.where + name + (f", id {self.id}" if self.id else "")


class BadRow(Exception):
    """Raised while a row is parsed; its arguments are why, got, fix, field."""
