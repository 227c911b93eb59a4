"""A row as it is in its file, or its fault."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FIELDS = ("input", "output", "messages", "accepted", "must_say", "must_not_say", "id", "group",
          "time", "context", "meta")  # fmt: skip
_ALSO_CALLED = {
    "prompt": "input", "question": "input", "query": "input", "text": "input", "instruction":
    "input", "completion": "output", "response": "output", "answer": "output", "label": "output",
    "target": "output", "conversation": "messages", "conversations": "messages",
}  # fmt: skip


def likely_name(names: Iterable[str], field: str) -> str | None:
    """Return which of these names probably means a field, None if none does."""
    others = [name for name in names if name not in FIELDS]
    near = [name for name in others if _ALSO_CALLED.get(name.lower()) == field]
    return next(iter(near or difflib.get_close_matches(field, others, n=1, cutoff=0.6)), None)


@dataclass(frozen=True, slots=True)
class RawRow:
    """One unparsed row: `file:line` and its fields."""

    where: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class RowFault:
    """One bad row: `file:line:column`, why, what was got, how to fix it, and its field or id."""

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
