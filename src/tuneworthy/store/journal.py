"""`Journal`: the append-only table of a store's rows in a hash chain; open, check, migrate it.

Independent of what rows mean. Each append is one transaction, on the disk when it returns. The
hash of a row covers the row and the previous hash, so an edited, removed or swapped row is
detected (A86).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tuneworthy.records.errors import StoreError
from tuneworthy.store import database as migrations
from tuneworthy.store.database import (
    REPLIES_FILE,
    Database,
    Definitions,
    Head,
    HeadRecord,
    as_definitions,
    read_head,
    size_of,
)
from tuneworthy.store.failpoint import failpoint
from tuneworthy.store.lock import WriterLock

_FIRST_LINK = "tuneworthy"


class Entry(NamedTuple):
    """A row to append. `name` is unique within its `sort`, None if rows may repeat."""

    sort: str
    name: str | None
    kind: str
    study: str
    value: str
    seconds: float | None = None


class Row(NamedTuple):
    """A stored row. `seq` is the order of rows; `at` is wall time, for display only."""

    seq: int
    sort: str
    name: str | None
    kind: str
    study: str
    value: str
    seconds: float | None
    at: str
    link: str

    @property
    def content(self) -> Any:
        """Return the decoded value. Raises StoreError if something else wrote it."""
        try:
            content = json.loads(self.value)
        except (ValueError, TypeError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise StoreError(
                "the store was changed by something else than tuneworthy",
                where=f"the ledger, row {self.seq}",
                got=str(self.value),
                fix="restore the ledger from a backup, or remove it and run again",
                kept="the store as it is, untouched",
            )
        return content


def row_hash(previous: str, seq: int, entry: Sequence[Any], at: str) -> str:
    """Return the hash of a row: SHA-256 over the previous hash and the row's content."""
    # We write text and numbers only; bytes from elsewhere change the hash.
    content = json.dumps([previous, seq, *entry, at], separators=(",", ":"), default=repr)
    return hashlib.sha256(content.encode()).hexdigest()


class Journal:
    """An open table of rows. A reader sees one state of it within a query."""

    def __init__(self, database: Database, *, write: bool) -> None:
        self.database, self.write, self.shown = database, write, database.shown
        self.lock, self.closed, self.failed = threading.RLock(), False, False
        self._connection: sqlite3.Connection | None = None
        self._head: Head | None = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection in a transaction, which an error rolls back."""
        with self.lock, self.database.errors():
            if self.closed:
                raise StoreError("the ledger is closed", where=self.shown, fix="open it again")
            if self._connection is None:
                self._connection = self.database.connect(write=self.write)
            with self._connection as connection:  # commits, or rolls back
                connection.execute("BEGIN IMMEDIATE" if self.write else "BEGIN")
                yield connection

    def append(self, step: str, *entries: Entry) -> list[Row]:
        """Append rows in one durable transaction and return them.

        If that fails, `failed` is set: whether the rows are there must be checked before the next
        run, and replies that only the mirror has must be read back.
        """
        with self.lock, self.database.errors():
            failed, self.failed = self.failed, True
            with self.transaction() as connection:
                rows = [_insert(connection, entry) for entry in entries]
                failpoint(f"{step}.before")
            failpoint(f"{step}.after")
            self.failed = failed
            if self._head:
                self._head.note(rows[-1].seq, rows[-1].link)
        return rows

    def check_end(self) -> None:
        """Raise StoreError if the last rows or the mirror's end are lost, by the `head` file."""
        noted = read_head(self.database.head)  # first: a writer may append meanwhile
        seq = self.counted()
        with self.transaction() as connection:
            link = _first_value(
                connection, "SELECT link FROM rows WHERE seq = ?", noted.seq if noted else seq
            )
        if (error := _lost_data_error(self.database, seq, link, noted)) is not None:
            raise error
        if self.write:
            self._head = Head(self.database.head)
            if noted is None and link is not None:
                self._head.note(seq, link)

    def find(self, sort: str, name: str) -> Row | None:
        """Return the row of this sort and name, or None; raise StoreError if it was edited."""
        with self.transaction() as connection:
            query = "SELECT * FROM rows WHERE sort = ? AND name = ?"
            if (values := connection.execute(query, (sort, name)).fetchone()) is None:
                return None
            row, before = Row(*values), "SELECT link FROM rows WHERE seq = ?"
            previous = _first_value(connection, before, row.seq - 1) if row.seq > 1 else _FIRST_LINK
        if previous is None or row_hash(previous, row.seq, row[1:7], row.at) != row.link:
            raise self.tampered_error(row.seq, f"{row.sort} {row.name}")
        return row

    def rows(self, sort: str, study: str | None = None, after: int = 0) -> list[Row]:
        """Return the rows of one sort in order, numbered above `after`, of one study or of all."""
        query, wanted = "SELECT * FROM rows WHERE sort = ? AND seq > ?", [sort, after]
        if study is not None:
            query, wanted = f"{query} AND study = ?", [*wanted, study]
        with self.transaction() as connection:
            return [Row(*values) for values in connection.execute(f"{query} ORDER BY seq", wanted)]

    def all_rows(self) -> Iterator[Row]:
        """Yield every row in order, in one read transaction."""
        with self.transaction() as connection:
            for values in connection.execute("SELECT * FROM rows ORDER BY seq"):
                yield Row(*values)

    def verify(self) -> int:
        """Recompute the hash chain; return the number of rows, raise StoreError if it is broken."""
        previous, count = _FIRST_LINK, 0
        for row in self.all_rows():
            count += 1
            if row.seq != count:
                raise self.tampered_error(count, "a row is gone")
            if row_hash(previous, row.seq, row[1:7], row.at) != row.link:
                raise self.tampered_error(row.seq, f"{row.sort} {row.name}")
            previous = row.link
        if count != self.counted():
            raise self.tampered_error(count + 1, "the last rows are gone")
        return count

    def counted(self) -> int:
        """Return how many rows were ever appended, by SQLite's own counter."""
        with self.transaction() as connection:
            query = "SELECT seq FROM sqlite_sequence WHERE name = 'rows'"
            return int(_first_value(connection, query) or 0)

    def check(self) -> None:
        """Run SQLite's own check; raise StoreError if it finds damage."""
        with self.transaction() as connection:
            report = [line for (line,) in connection.execute("PRAGMA integrity_check")]
        if report != ["ok"]:
            raise self.database.malformed("; ".join(map(str, report)))

    def definitions(self) -> Definitions:
        """Return a set of (kind, name, text): the tables, indexes and triggers in the store."""
        with self.transaction() as connection:
            return as_definitions(connection.execute("SELECT type, name, sql FROM sqlite_master"))

    def version(self) -> int:
        """Return the schema version in the file's header."""
        with self.transaction() as connection:
            return int(_first_value(connection, "PRAGMA user_version"))

    def close(self) -> None:
        """Close the store."""
        with self.lock:
            self.closed = True
            if self._connection is not None:
                self._connection.close()  # SQLite merges a writer's journal file into it
            if self._head:
                self._head.close()

    def tampered_error(self, seq: int, got: str) -> StoreError:
        """Return the StoreError for a row that was changed after writing."""
        return StoreError(
            "the store was changed by something else than tuneworthy",
            where=f"{self.shown}, row {seq}",
            got=got,
            fix=f"restore {self.database.called} from a backup, or remove it and run again",
            kept="the store as it is, untouched",
        )


def _lost_data_error(
    database: Database, seq: int, link: str | None, noted: HeadRecord | None
) -> StoreError | None:
    """Return the error for a store or mirror that lost data; None if neither did.

    `seq` is the last row of the store, `link` the hash that the store has for the noted row. A
    missing mirror was removed on purpose: the store has all its replies.
    """
    if noted is None:
        return None
    if seq < noted.seq or (link is not None and link != noted.link):
        return StoreError(
            "the end of the ledger is gone",
            where=database.shown,
            got=f"{min(seq, noted.seq)} rows, and {noted.seq} were written",
            fix=f"restore {database.files} from a backup; or remove {database.head} and run again:"
            " what is gone is measured again, paid replies are read back from "
            f"{REPLIES_FILE}",
            kept="the ledger as it is, untouched",
        )
    mirror = database.head.with_name(REPLIES_FILE)
    if mirror.exists() and (size := size_of(mirror)) < noted.mirror:
        return StoreError(
            "the second copy of the paid replies was cut",
            where=str(mirror),
            got=f"{size:,} bytes, and {noted.mirror:,} were written",
            fix=f"restore it from a backup, or remove it: {database.called} holds every reply",
            kept="the ledger, with every reply",
        )
    return None


def _insert(connection: sqlite3.Connection, entry: Entry) -> Row:
    last = connection.execute("SELECT seq, link FROM rows ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = last or (0, _FIRST_LINK)
    # Wall time is for display: `seq` is the order, so a clock that jumps changes nothing.
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    row = Row(seq + 1, *entry, at, row_hash(previous, seq + 1, entry, at))
    connection.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    return row


def _first_value(connection: sqlite3.Connection, query: str, *values: Any) -> Any:
    """Return the one value that a query finds, None if it finds no row."""
    found = connection.execute(query, values).fetchone()
    return None if found is None else found[0]


def open_journal(database: Database, lock: WriterLock, *, in_use: bool) -> Journal:
    """Return the writer's journal on a store of our version that passed its checks.

    `in_use`: this process has the store open already, for reading; see `read_journal`.
    """
    with database.errors():
        if not database.exists():
            database.create()
        elif not in_use:
            database.inspect()
        journal = Journal(database, write=True)
        try:
            _migrate(journal)
            _check_schema(journal)
            journal.check_end()
            if lock.dirty:
                journal.check()
                journal.verify()
        except BaseException:
            journal.close()
            raise
    return journal


def read_journal(database: Database, *, in_use: bool) -> Journal | None:
    """Return a reader's journal; None for a store of an older version, which a writer migrates.

    `in_use`: this process has the store open already. Closing an SQLite file would drop the POSIX
    locks that SQLite holds on it in this process, so its header is read only if no ledger has it.
    """
    journal = None
    try:
        with database.errors():
            if not database.exists():
                raise StoreError("there is no ledger here", where=database.shown,
                                 fix="run `tuneworthy run` first")  # fmt: skip
            if not in_use:
                database.inspect()
            journal = Journal(database, write=False)
            if (version := journal.version()) < migrations.SCHEMA_VERSION:
                journal.close()
                return None
            migrations.refuse_newer(database.shown, version)
            _check_schema(journal)
            journal.check_end()
    except BaseException:
        if journal:
            journal.close()
        raise
    return journal


def _migrate(journal: Journal) -> None:
    """Migrate a store to this release's version, after a backup; do nothing if it has it."""
    database, version = journal.database, journal.version()
    migrations.refuse_newer(journal.shown, version)
    if version == migrations.SCHEMA_VERSION:
        return
    database.backup(version)
    while version < migrations.SCHEMA_VERSION:
        if version not in migrations.MIGRATION_STEPS:
            raise StoreError(
                "the store is older than this release can read",
                where=journal.shown,
                got=f"store version {version}",
                fix="open it once with the release that followed it, then run again",
            )
        with journal.lock, database.errors():
            with journal.transaction() as connection:
                migrations.MIGRATION_STEPS[version](connection)
                connection.execute(f"PRAGMA user_version={version + 1}")
                failpoint("migrate.before")
            failpoint("migrate.after")
        version += 1


def _check_schema(journal: Journal) -> None:
    """Refuse a store whose definitions differ from ours: added, changed or missing ones."""
    if strange := journal.definitions() ^ journal.database.own_definitions():
        names = ", ".join(sorted(f"{kind} {name}" for kind, name, _ in strange))
        raise journal.database.malformed(f"definitions that differ from ours: {names}")
