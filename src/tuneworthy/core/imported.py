"""Types of a record in a foreign file and of the row that an importer makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record of a file: its place (`file:line` or `file:number`) and its fields.

    `at` are the keys that lead to its list in a JSON document, such as ("results", "results"); ()
    if the file itself is the list.
    """

    where: str
    at: tuple[str, ...]
    value: dict[str, Any]


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
