"""A record of a foreign file, and the row that an importer makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record of a file: `file:line` or `file:number`, and its fields.

    `at` are the keys of the list it stands in: () for a row of the file itself,
    ("results", "results") for one of a JSON document.
    """

    where: str
    at: tuple[str, ...]
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """The fields of a row as `data/rows.py` reads them, and what systems answered to it.

    `answers` maps a system to {"answer", "seconds"?, "usd"?, "tokens_in"?, "tokens_out"?}.
    Records of one `key` are one row; "" is a row of its own. `part` is `train`, `test` or `dev` for
    a row of a file with such parts, "" for any other.
    """

    fields: dict[str, Any]
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    key: str = ""
    part: str = ""
