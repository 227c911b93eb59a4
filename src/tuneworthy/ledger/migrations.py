"""Create a store, and migrate the store of an older release, after a backup.

Independent of what rows mean. `STEPS[v]` turns a store of version v into one of v + 1, in one
transaction with the version number: a kill leaves the old or the new version, nothing between.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from tuneworthy.core.errors import StoreError
from tuneworthy.ledger.blobs import sync
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.head import remove_head
from tuneworthy.ledger.journal import APPLICATION, Journal, connect
from tuneworthy.ledger.trouble import malformed_error, store_errors

VERSION = 1
STEPS: dict[int, Callable[[sa.Connection], None]] = {}
# Written out, not rendered from journal.ROWS: a store must not depend on SQLAlchemy's release.
SCHEMA = (
    """CREATE TABLE rows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sort TEXT NOT NULL, name TEXT, kind TEXT NOT NULL,
    study TEXT NOT NULL, value TEXT NOT NULL, seconds FLOAT, at TEXT NOT NULL,
    link TEXT NOT NULL, UNIQUE (sort, name))""",
    "CREATE INDEX rows_by_study ON rows (sort, study)",
)
_MAGIC = b"SQLite format 3\x00"


def create(path: Path) -> None:
    """Create an empty store atomically: written under a temporary name, synced, renamed."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    remove_head(path)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN")
        _define(connection)
        failpoint("create.before")
        connection.execute("COMMIT")
    finally:
        connection.close()
    os.rename(fresh, path)
    sync(path.parent)
    failpoint("create.after")


def _define(connection: sqlite3.Connection) -> None:
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={VERSION}")


def inspect(path: Path) -> None:
    """Check the file's header without changes; refuse other files and newer stores."""
    if path.is_symlink() or not path.is_file():
        raise StoreError(
            "the store is not a plain file", where=str(path), fix="remove it and run again"
        )
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(_MAGIC):
        raise malformed_error(path, f"{path.stat().st_size} bytes that are no SQLite file")
    if int.from_bytes(head[68:72], "big") != APPLICATION:
        raise malformed_error(path, "an SQLite file that tuneworthy did not make")
    refuse_newer(path, int.from_bytes(head[60:64], "big"))
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    size = path.stat().st_size
    if not os.path.exists(f"{path}-wal") and size < (65536 if page == 1 else page) * pages:
        raise malformed_error(
            path, f"{size:,} bytes of {pages} pages of {page}: the end is cut off"
        )


def refuse_newer(path: Path, version: int) -> None:
    """Raise StoreError for a store that a newer release made."""
    if version > VERSION:
        raise StoreError(
            "the store was made by a newer tuneworthy",
            where=str(path),
            got=f"store version {version}, this release knows up to {VERSION}",
            fix="pip install --upgrade tuneworthy",
            kept="everything: nothing was changed",
        )


def migrate(journal: Journal) -> Path | None:
    """Migrate a store to this release's version; return the backup, None if it was up to date."""
    version = journal.version()
    refuse_newer(journal.path, version)
    if version == VERSION:
        return None
    saved = backup(journal.path, version)
    while version < VERSION:
        if version not in STEPS:
            raise StoreError(
                "the store is older than this release can read",
                where=str(journal.path),
                got=f"store version {version}",
                fix="open it once with the release that followed it, then run again",
            )
        with journal.lock, store_errors(journal.path):
            with journal.engine.begin() as connection:
                STEPS[version](connection)
                connection.exec_driver_sql(f"PRAGMA user_version={version + 1}")
                failpoint("migrate.before")
            failpoint("migrate.after")
        version += 1
    return saved


def backup(path: Path, version: int) -> Path:
    """Copy a store with its journal to `ledger.v<version>.backup.sqlite` and return that path."""
    final = path.with_name(f"{path.stem}.v{version}.backup.sqlite")
    part = final.with_name(final.name + ".part")
    with store_errors(final):
        part.unlink(missing_ok=True)
        source, target = connect(path, write=False), sqlite3.connect(part)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        os.chmod(part, 0o600)
        failpoint("backup.before")
        os.rename(part, final)
        sync(final.parent)
        failpoint("backup.after")
    return final


def check_schema(journal: Journal) -> None:
    """Refuse a store whose definitions differ from ours: added, changed or missing ones."""
    connection = sqlite3.connect(":memory:")
    try:
        _define(connection)
        ours = set(connection.execute("SELECT type, name, sql FROM sqlite_master"))
    finally:
        connection.close()
    if strange := _spaced(journal.schema()) ^ _spaced(ours):
        names = ", ".join(sorted(f"{kind} {name}" for kind, name, _ in strange))
        raise malformed_error(journal.path, f"definitions that differ from ours: {names}")


def _spaced(schema: set[tuple[str, str, str | None]]) -> set[tuple[str, str, str]]:
    return {(kind, name, " ".join((sql or "").split())) for kind, name, sql in schema}
