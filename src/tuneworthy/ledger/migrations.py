"""The version and definitions of a store; bring the store of an older release up to date.

Independent of what rows mean. `MIGRATION_STEPS[v]` turns a store of version v
into one of v + 1, in one transaction with the version number: a kill leaves the old or the new
version, nothing between. A backup is made first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from tuneworthy.core.errors import StoreError

SCHEMA_VERSION = 1
MIGRATION_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {}
SCHEMA = (
    """CREATE TABLE rows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sort TEXT NOT NULL, name TEXT, kind TEXT NOT NULL,
    study TEXT NOT NULL, value TEXT NOT NULL, seconds FLOAT, at TEXT NOT NULL,
    link TEXT NOT NULL, UNIQUE (sort, name))""",
    "CREATE INDEX rows_by_study ON rows (sort, study)",
)


def refuse_newer(shown: str, version: int) -> None:
    """Raise StoreError for a store (by its name in messages) that a newer release made."""
    if version > SCHEMA_VERSION:
        raise StoreError(
            "the store was made by a newer tuneworthy",
            where=shown,
            got=f"store version {version}, this release knows up to {SCHEMA_VERSION}",
            fix="pip install --upgrade tuneworthy",
            kept="everything: nothing was changed",
        )
