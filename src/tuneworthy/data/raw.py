"""A row as it stands in its file, or what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Raw:
    """One row before it is read: `file:line` and its fields."""

    where: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One bad row: `file:line:column`, why, what was got, how to fix it, and its field or id."""

    where: str
    why: str
    got: str = ""
    fix: str = ""
    field: str = ""
    id: str = ""

    def place(self) -> str:
        """Return where the row is, with its field and id as far as known."""
        name = f", field `{self.field}`" if self.field else ""
        return self.where + name + (f", id {self.id}" if self.id else "")


class BadRow(Exception):
    """Raised while a row is read: its arguments are why, got, fix, field."""
