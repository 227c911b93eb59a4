"""The version and definitions of a store; bring the store of an older release up to date.

Independent of what rows mean and of the database. `MIGRATION_STEPS[v]` turns a store of version v
into one of v + 1, in one transaction with the version number: a kill leaves the old or the new
version, nothing between. A backup is made first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuneworthy.core.errors import StoreError
from tuneworthy.ledger.failpoint import failpoint

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tuneworthy.ledger.journal import Journal

SCHEMA_VERSION = 1
MIGRATION_STEPS: dict[int, Callable[[sa.Connection], None]] = {}
# Written out, not rendered from ROWS_TABLE: a store must not depend on SQLAlchemy's release.
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


def migrate(journal: Journal) -> None:
    """Migrate a store to this release's version, after a backup; do nothing if it has it."""
    database, version = journal.database, journal.version()
    refuse_newer(journal.shown, version)
    if version == SCHEMA_VERSION:
        return
    database.backup(version)
    while version < SCHEMA_VERSION:
        if version not in MIGRATION_STEPS:
            raise StoreError(
                "the store is older than this release can read",
                where=journal.shown,
                got=f"store version {version}",
                fix="open it once with the release that followed it, then run again",
            )
        with journal.lock, database.errors():
            with journal.engine.begin() as connection:
                MIGRATION_STEPS[version](connection)
                database.set_version(connection, version + 1)
                failpoint("migrate.before")
            failpoint("migrate.after")
        version += 1


def check_schema(journal: Journal) -> None:
    """Refuse a store whose definitions differ from ours: added, changed or missing ones."""
    if strange := journal.definitions() ^ journal.database.own_definitions():
        names = ", ".join(sorted(f"{kind} {name}" for kind, name, _ in strange))
        raise journal.database.malformed(f"definitions that differ from ours: {names}")
