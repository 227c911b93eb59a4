"""The store's table of rows, append-only, in a hash chain: the same on SQLite and on Postgres.

Independent of what rows mean; what differs between databases is in `database.py`. Imports
SQLAlchemy, so light commands import this file lazily. Each append is one transaction, on the disk
when it returns. The hash of a row covers the row and the previous hash, so an edited, removed or
swapped row is detected (A86).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from tuneworthy.core.errors import StoreError
from tuneworthy.ledger.database import Database, Definitions
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.head import Head, lost_data_error, read_head

FIRST_LINK = "tuneworthy"
ROWS_TABLE = sa.Table(
    "rows",
    sa.MetaData(),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("sort", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("seconds", sa.Float),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("link", sa.Text, nullable=False),
    sa.UniqueConstraint("sort", "name"),
    sa.Index("rows_by_study", "sort", "study"),
    sqlite_autoincrement=True,
)


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
    """An open table of rows. A writer has one connection, a reader one transaction per query."""

    def __init__(self, database: Database, *, write: bool) -> None:
        self.database, self.write, self.shown = database, write, database.shown
        self.lock, self.closed, self.failed = threading.RLock(), False, False
        self.engine = database.engine(write=write)
        self._head: Head | None = None

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self.lock, self.database.errors():
            if self.closed:
                raise StoreError("the ledger is closed", where=self.shown, fix="open it again")
            with self.engine.begin() as connection:
                yield connection

    def append(self, step: str, *entries: Entry) -> list[Row]:
        """Append rows in one durable transaction and return them.

        If that fails, `failed` is set: whether the rows are there must be checked before the next
        run, and replies that only the mirror has must be read back.
        """
        with self.lock, self.database.errors():
            failed, self.failed = self.failed, True
            with self._transaction() as connection:
                rows = [_insert(connection, entry) for entry in entries]
                self.database.count(connection, rows[-1].seq, rows[-1].link, len(rows))
                failpoint(f"{step}.before")
            failpoint(f"{step}.after")
            self.failed = failed
            if self._head:
                self._head.note(rows[-1].seq, rows[-1].link)
        return rows

    def check_end(self) -> None:
        """Raise StoreError if rows at the end, or of the mirror, are lost (see `head.py`)."""
        noted = read_head(self.database.head)  # first: a writer may append meanwhile
        seq = self.counted()
        query = sa.select(ROWS_TABLE.c.link).where(
            ROWS_TABLE.c.seq == (noted.seq if noted else seq)
        )
        with self._transaction() as connection:
            link = connection.execute(query).scalar()
        if (error := lost_data_error(self.database, seq, link, noted)) is not None:
            raise error
        if self.write:
            self._head = Head(self.database.head)
            if noted is None and link is not None:
                self._head.note(seq, link)

    def find(self, sort: str, name: str) -> Row | None:
        """Return the row of this sort and name, or None; raise StoreError if it was edited."""
        wanted = (ROWS_TABLE.c.sort == sort) & (ROWS_TABLE.c.name == name)
        with self._transaction() as connection:
            values = connection.execute(sa.select(ROWS_TABLE).where(wanted)).first()
            if values is None:
                return None
            row = Row(*values)
            before = sa.select(ROWS_TABLE.c.link).where(ROWS_TABLE.c.seq == row.seq - 1)
            previous = connection.execute(before).scalar() if row.seq > 1 else FIRST_LINK
        if previous is None or row_hash(previous, row.seq, row[1:7], row.at) != row.link:
            raise self.tampered_error(row.seq, f"{row.sort} {row.name}")
        return row

    def rows(self, sort: str, study: str | None = None, after: int = 0) -> list[Row]:
        """Return the rows of a sort in order, of one study or of all, after the row `after`."""
        query = (
            sa.select(ROWS_TABLE)
            .where(ROWS_TABLE.c.sort == sort, ROWS_TABLE.c.seq > after)
            .order_by(ROWS_TABLE.c.seq)
        )
        if study is not None:
            query = query.where(ROWS_TABLE.c.study == study)
        with self._transaction() as connection:
            return [Row(*values) for values in connection.execute(query)]

    def all_rows(self) -> Iterator[Row]:
        """Yield every row in order, in one read transaction."""
        query = sa.select(ROWS_TABLE).order_by(ROWS_TABLE.c.seq).execution_options(yield_per=500)
        with self._transaction() as connection:
            for values in connection.execute(query):
                yield Row(*values)

    def verify(self) -> int:
        """Recompute the hash chain; return the number of rows, raise StoreError if it is broken."""
        previous, count = FIRST_LINK, 0
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
        """Return how many rows were ever appended, by the database's own counter."""
        with self._transaction() as connection:
            return self.database.counted(connection)

    def check(self) -> None:
        """Run the database's own check, if it has one; raise StoreError if it finds damage."""
        with self._transaction() as connection:
            damage = self.database.integrity(connection)
        if damage:
            raise self.database.malformed(damage)

    def definitions(self) -> Definitions:
        """Return the store's definitions: kind, name and text of tables, indexes, triggers."""
        with self._transaction() as connection:
            return self.database.definitions(connection)

    def version(self) -> int:
        """Return the schema version of the store."""
        with self._transaction() as connection:
            return self.database.version(connection)

    def claim(self) -> None:
        """Note this process in the database as the one that writes."""
        with self._transaction() as connection:
            self.database.claim(connection)

    def close(self) -> None:
        """Close the store."""
        with self.lock:
            self.closed = True
            self.database.dispose(self.engine)
            if self._head:
                self._head.close()

    def tampered_error(self, seq: int, got: str) -> StoreError:
        """Return the error for a row that was changed after writing."""
        return StoreError(
            "the store was changed by something else than tuneworthy",
            where=f"{self.shown}, row {seq}",
            got=got,
            fix=f"restore {self.database.called} from a backup, or remove it and run again",
            kept="the store as it is, untouched",
        )


def _insert(connection: sa.Connection, entry: Entry) -> Row:
    last = sa.select(ROWS_TABLE.c.seq, ROWS_TABLE.c.link).order_by(ROWS_TABLE.c.seq.desc()).limit(1)
    seq, previous = connection.execute(last).first() or (0, FIRST_LINK)
    # Wall time is for display: `seq` is the order, so a clock that jumps changes nothing.
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    row = Row(seq + 1, *entry, at, row_hash(previous, seq + 1, entry, at))
    connection.execute(sa.insert(ROWS_TABLE).values(row._asdict()))
    return row
