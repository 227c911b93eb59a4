"""A ledger in an SQLite file beside the task: the default.

Write-ahead log, `synchronous=FULL`: a transaction is on the disk when it returns.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from tuneworthy.core.errors import StoreError
from tuneworthy.ledger import migrations
from tuneworthy.ledger.blobs import sync
from tuneworthy.ledger.database import Definitions, Lock
from tuneworthy.ledger.disk import check_disk
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.head import HEAD_FILE, remove_head
from tuneworthy.ledger.lock import LOCK_FILE, acquire
from tuneworthy.ledger.trouble import malformed_error, store_errors

APPLICATION = 0x74776C67  # "twlg", written into the file's header
_MAGIC = b"SQLite format 3\x00"


class SqliteDatabase:
    """The ledger in one SQLite file; see `Database` for what each name promises."""

    def __init__(self, path: Path) -> None:
        self.path, self.home, self.head = path, path.parent, path.with_name(HEAD_FILE)
        self.shown, self.called = str(path), path.name
        self.files = f"{path.name} and {path.name}-wal"

    def errors(self) -> AbstractContextManager[None]:
        """Turn errors of the disk and of SQLite inside the block into StoreError."""
        return store_errors(self.path)

    def acquire(self, say: Callable[[str], None]) -> Lock:
        """Return the writer's lock, after a check of the disk; make the folder if missing."""
        with store_errors(self.home):
            warning = check_disk(self.home.parent)
            self.home.mkdir(mode=0o700, exist_ok=True)
            lock = acquire(self.home / LOCK_FILE, trusted=not warning)
        if warning:
            say(warning)
        return lock

    def exists(self) -> bool:
        """Return whether the file exists. Raises StoreError for a journal without its file."""
        if os.path.lexists(self.path):
            return True
        if os.path.exists(f"{self.path}-wal"):
            raise self.malformed(f"{self.path.name}-wal is there and {self.path.name} is not")
        return False

    def create(self) -> None:
        """Create an empty store atomically: written under a temporary name, synced, renamed."""
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        remove_head(self.head)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(fresh, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN")
            _create_schema(connection)
            failpoint("create.before")
            connection.execute("COMMIT")
        finally:
            connection.close()
        os.rename(fresh, self.path)
        sync(self.home)
        failpoint("create.after")

    def inspect(self) -> None:
        """Check the file's header without changes; refuse other files and newer stores."""
        path = self.path
        if path.is_symlink() or not path.is_file():
            raise StoreError(
                "the store is not a plain file", where=str(path), fix="remove it and run again"
            )
        with path.open("rb") as file:
            head = file.read(100)
        if len(head) < 100 or not head.startswith(_MAGIC):
            raise self.malformed(f"{path.stat().st_size} bytes that are no SQLite file")
        if int.from_bytes(head[68:72], "big") != APPLICATION:
            raise self.malformed("an SQLite file that tuneworthy did not make")
        migrations.refuse_newer(self.shown, int.from_bytes(head[60:64], "big"))
        page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
        size = path.stat().st_size
        if not os.path.exists(f"{path}-wal") and size < (65536 if page == 1 else page) * pages:
            raise self.malformed(f"{size:,} bytes of {pages} pages of {page}: the end is cut off")

    def engine(self, *, write: bool) -> sa.Engine:
        """Return an engine on the file: BEGIN IMMEDIATE for a writer, else read-only."""
        made = sa.create_engine(
            "sqlite://", creator=lambda: _connect(self.path, write=write), poolclass=StaticPool
        )

        @sa.event.listens_for(made, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

        return made

    def dispose(self, engine: sa.Engine | None) -> None:
        """Close the file; SQLite merges a writer's journal file into it."""
        if engine is not None:
            engine.dispose()

    def claim(self, connection: sa.Connection) -> None:
        """Do nothing: the lock file names the writer."""

    def count(self, connection: sa.Connection, seq: int, link: str, added: int) -> None:
        """Do nothing: SQLite counts the rows of the table itself."""

    def counted(self, connection: sa.Connection) -> int:
        """Return SQLite's own counter of the rows ever added."""
        query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'rows'")
        return int(connection.execute(query).scalar() or 0)

    def version(self, connection: sa.Connection) -> int:
        """Return the schema version in the file's header."""
        return int(connection.execute(sa.text("PRAGMA user_version")).scalar() or 0)

    def set_version(self, connection: sa.Connection, version: int) -> None:
        """Set the schema version in the file's header."""
        connection.exec_driver_sql(f"PRAGMA user_version={version}")

    def definitions(self, connection: sa.Connection) -> Definitions:
        """Return type, name and SQL of every table, index, view and trigger of the file."""
        rows = connection.execute(sa.text("SELECT type, name, sql FROM sqlite_master"))
        return _as_definitions(rows.all())

    def own_definitions(self) -> Definitions:
        """Return the definitions of a new store of this release."""
        connection = sqlite3.connect(":memory:")
        try:
            _create_schema(connection)
            return _as_definitions(connection.execute("SELECT type, name, sql FROM sqlite_master"))
        finally:
            connection.close()

    def integrity(self, connection: sa.Connection) -> str:
        """Return what SQLite's integrity check finds, "" if nothing."""
        report = connection.execute(sa.text("PRAGMA integrity_check")).scalars().all()
        return "" if report == ["ok"] else "; ".join(map(str, report))

    def backup(self, version: int) -> Path:
        """Copy the store with its journal to `ledger.v<version>.backup.sqlite`; return the path."""
        final = self.path.with_name(f"{self.path.stem}.v{version}.backup.sqlite")
        part = final.with_name(final.name + ".part")
        with store_errors(final):
            part.unlink(missing_ok=True)
            source, target = _connect(self.path, write=False), sqlite3.connect(part)
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

    def malformed(self, got: str) -> StoreError:
        """Copy the malformed file to quarantine and return the error that names the copy."""
        return malformed_error(self.path, got)


def _create_schema(connection: sqlite3.Connection) -> None:
    for statement in migrations.SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={migrations.SCHEMA_VERSION}")


def _as_definitions(schema: object) -> Definitions:
    return {(kind, name, " ".join((sql or "").split())) for kind, name, sql in schema}  # type: ignore[attr-defined]


def _connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Return a connection to an existing store that trusts nothing defined in the file."""
    mode = "rw" if write else _read_mode(path)
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=10,
        isolation_level=None,  # we begin transactions ourselves, not the driver
        check_same_thread=False,
    )
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")
        if write:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        else:
            connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _read_mode(path: Path) -> str:
    # In a read-only folder without a journal SQLite can't create its shared memory; nobody else
    # can write there either, so the file may be opened as immutable.
    still = not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()
    return "ro&immutable=1" if still else "ro"
