"""A ledger in a schema of a Postgres server: `ledger: postgresql://…`.

The writer has one session, which holds the lock: nothing is written once the session is lost. The
one row of the table `ledger` counts the rows and names the writer; each append changes it in its
own transaction, so a second writer (behind a pooler that shares sessions, say) can't add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from tuneworthy.core.errors import StoreError
from tuneworthy.core.ledger_url import LedgerUrl
from tuneworthy.core.record import digest
from tuneworthy.ledger import migrations
from tuneworthy.ledger.database import Definitions, Lock
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.head import HEAD_FILE, remove_head
from tuneworthy.ledger.lock import LOCK_FILE, WriterLock, acquire
from tuneworthy.ledger.postgres_session import PostgresLock, open_session, unsynced
from tuneworthy.ledger.postgres_trouble import PostgresTrouble
from tuneworthy.ledger.trouble import store_errors

if TYPE_CHECKING:
    import psycopg

LONGEST_NAME = 40  # the most characters of a ledger's name in its schema's name, which may have 63
_LEDGER = """CREATE TABLE ledger (application TEXT NOT NULL, version INTEGER NOT NULL,
    seq BIGINT NOT NULL, link TEXT NOT NULL, holder TEXT NOT NULL)"""
# What the server's catalogue shows of migrations.SCHEMA and the table above.
DEFINITIONS = (
    ("table", "rows", "r"), ("table", "ledger", "r"),
    ("column", "rows.seq", "bigint not null"), ("column", "rows.sort", "text not null"),
    ("column", "rows.name", "text"), ("column", "rows.kind", "text not null"),
    ("column", "rows.study", "text not null"), ("column", "rows.value", "text not null"),
    ("column", "rows.seconds", "double precision"), ("column", "rows.at", "text not null"),
    ("column", "rows.link", "text not null"),
    ("column", "ledger.application", "text not null"),
    ("column", "ledger.version", "integer not null"), ("column", "ledger.seq", "bigint not null"),
    ("column", "ledger.link", "text not null"), ("column", "ledger.holder", "text not null"),
    ("index", "rows_pkey", "CREATE UNIQUE INDEX rows_pkey ON rows USING btree (seq)"),
    ("index", "rows_sort_name_key",
     "CREATE UNIQUE INDEX rows_sort_name_key ON rows USING btree (sort, name)"),
    ("index", "rows_by_study", "CREATE INDEX rows_by_study ON rows USING btree (sort, study)"),
    ("constraint", "rows_pkey", "PRIMARY KEY (seq)"),
    ("constraint", "rows_sort_name_key", "UNIQUE (sort, name)"),
)  # fmt: skip
_CATALOGUE = """
WITH own AS (SELECT oid, relname, relkind, relnamespace FROM pg_class
             WHERE relnamespace = to_regnamespace(:schema))
SELECT 'table', relname::text, relkind::text FROM own WHERE relkind NOT IN ('i', 'I', 't')
UNION ALL SELECT 'column', relname || '.' || attname, format_type(atttypid, atttypmod)
  || CASE WHEN attnotnull THEN ' not null' ELSE '' END
  || CASE WHEN atthasdef THEN ' default' ELSE '' END
  FROM pg_attribute JOIN own ON attrelid = oid
  WHERE attnum > 0 AND NOT attisdropped AND relkind NOT IN ('i', 'I', 't')
UNION ALL SELECT 'index', relname::text, pg_get_indexdef(oid, 0, true) FROM own
  WHERE relkind IN ('i', 'I')
UNION ALL SELECT 'constraint', conname::text, pg_get_constraintdef(pg_constraint.oid, true)
  FROM pg_constraint WHERE connamespace = to_regnamespace(:schema) AND contype <> 'n'
UNION ALL SELECT 'trigger', tgname::text, pg_get_triggerdef(pg_trigger.oid, true)
  FROM pg_trigger JOIN own ON tgrelid = own.oid WHERE NOT tgisinternal
UNION ALL SELECT 'rule', rulename::text, pg_get_ruledef(pg_rewrite.oid, true)
  FROM pg_rewrite JOIN own ON ev_class = own.oid
UNION ALL SELECT 'function', proname::text, '' FROM pg_proc
  WHERE pronamespace = to_regnamespace(:schema)"""
_SCHEMA_IS_MISSING = "SELECT to_regnamespace(%s) IS NULL"
_FILLED = "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace(%s))"


class PostgresDatabase:
    """The ledger `name` of a Postgres database; see `Database` for what each name promises."""

    def __init__(self, home: Path, url: LedgerUrl, name: str) -> None:
        long = len(name) > LONGEST_NAME
        short = f"{name[: LONGEST_NAME - 9]}_{digest(name, 8)}" if long else name
        self.schema = f"tuneworthy_{short}"
        self._quoted = '"' + self.schema + '"'  # a name has no quotes (`ledger_url`, Task.name)
        self.home, self._url = home, url
        self.shown = f"{url.shown}, ledger {name}"
        self.head = home / f"{HEAD_FILE}-{digest(self.shown, 8)}"
        self.called = self.files = f"schema {self.schema}"
        self._trouble = PostgresTrouble(self.shown, self.schema, url.secrets)
        self._lock: PostgresLock | None = None
        self._reader: psycopg.Connection[Any] | None = None

    def errors(self) -> AbstractContextManager[None]:
        """Turn errors of the local disk and of the server inside the block into StoreError."""
        return self._trouble.errors(self.home)

    def acquire(self, say: Callable[[str], None]) -> Lock:
        """Return the writer's lock: of the local folder, then of the ledger on the server."""
        with store_errors(self.home):
            self.home.mkdir(mode=0o700, exist_ok=True)
            local = acquire(self.home / LOCK_FILE)
        try:
            lock = self._lock = self._lock_server(local)
        except BaseException:
            local.release(clean=not local.dirty)
            raise
        try:
            if self._value("SELECT to_regclass('ledger') IS NOT NULL"):
                lock.dirty |= bool(self._value("SELECT holder FROM ledger"))
            if unsynced(lock.session):
                say(f"{self._url.shown} runs with fsync=off: a power loss there loses rows")
        except BaseException:
            lock.release(clean=False)
            raise
        return lock

    def _lock_server(self, local: WriterLock) -> PostgresLock:
        with self.errors():
            session = open_session(self._url, self.schema, self._trouble, write=True)
            try:
                return PostgresLock(session, local, self.schema, self.shown)
            except BaseException:
                session.close()
                raise

    def exists(self) -> bool:
        """Return whether the schema has anything in it."""
        return bool(self._value(_FILLED, [self._quoted]))

    def create(self) -> None:
        """Create an empty ledger, in one transaction."""
        remove_head(self.head)
        with self._session() as session, session.transaction():
            if session.execute(_SCHEMA_IS_MISSING, [self._quoted]).fetchone() == (True,):
                session.execute(f"CREATE SCHEMA {self._quoted}")
            for statement in _statements():
                session.execute(statement)
            values = ["tuneworthy", migrations.SCHEMA_VERSION, "tuneworthy"]
            session.execute("INSERT INTO ledger VALUES (%s, %s, 0, %s, '')", values)
            failpoint("create.before")
        failpoint("create.after")

    def inspect(self) -> None:
        """Raise StoreError for a schema that tuneworthy did not make, or a newer release made."""
        with self._session() as session:
            there = session.execute("SELECT to_regclass('ledger') IS NOT NULL").fetchone()
            ours = there == (True,)
            row = session.execute("SELECT version FROM ledger").fetchone() if ours else None
            session.rollback()
        if row is None:
            raise self.malformed("a schema that tuneworthy did not make")
        migrations.refuse_newer(self.shown, int(row[0]))

    def engine(self, *, write: bool) -> sa.Engine:
        """Return an engine on the writer's one session, or on a session that can't write."""

        def creator() -> Any:
            if not write:
                return self._reading()
            if self._lock is None or self._lock.session.closed:
                raise self._trouble.lost()  # a new session would be one without the lock
            return self._lock.session

        return sa.create_engine(
            "postgresql+psycopg://", creator=creator, poolclass=StaticPool, use_native_hstore=False
        )

    def dispose(self, engine: sa.Engine | None) -> None:
        """Close a reader's session; the writer's belongs to its lock."""
        if self._lock is None and engine is not None:
            engine.dispose()
        if self._reader is not None:
            self._reader.close()

    def claim(self, connection: sa.Connection) -> None:
        """Note this process as the writer."""
        assert self._lock is not None
        connection.execute(sa.text("UPDATE ledger SET holder = :me"), {"me": self._lock.name})

    def count(self, connection: sa.Connection, seq: int, link: str, added: int) -> None:
        """Count the new rows; raise StoreError if another process has written meanwhile."""
        assert self._lock is not None
        update = sa.text(
            "UPDATE ledger SET seq = :seq, link = :link WHERE seq = :before AND holder = :me"
        )
        values = {"seq": seq, "link": link, "before": seq - added, "me": self._lock.name}
        if connection.execute(update, values).rowcount != 1:
            raise StoreError(
                "another process has written to this ledger",
                where=self.shown,
                got="the lock of this session did not hold: a pooler shares sessions?",
                fix="connect to the server itself, or to a pooler in session mode; run again",
            )

    def counted(self, connection: sa.Connection) -> int:
        """Return how many rows were ever added, by the counter that each append raises."""
        return int(connection.execute(sa.text("SELECT seq FROM ledger")).scalar() or 0)

    def version(self, connection: sa.Connection) -> int:
        """Return the schema version of the ledger."""
        return int(connection.execute(sa.text("SELECT version FROM ledger")).scalar() or 0)

    def set_version(self, connection: sa.Connection, version: int) -> None:
        """Set the schema version of the ledger."""
        connection.execute(sa.text("UPDATE ledger SET version = :to"), {"to": version})

    def definitions(self, connection: sa.Connection) -> Definitions:
        """Return the tables, columns, indexes, constraints, triggers, rules and functions."""
        rows = connection.execute(sa.text(_CATALOGUE), {"schema": self._quoted})
        return {(str(kind), str(name), str(text)) for kind, name, text in rows}

    def own_definitions(self) -> Definitions:
        """Return the definitions of a new ledger of this release."""
        return set(DEFINITIONS)

    def integrity(self, connection: sa.Connection) -> str:  # noqa: ARG002
        """Return "": Postgres checks its pages as it reads them, and the chain is verified."""
        return ""

    def backup(self, version: int) -> str:
        """Copy the tables to the schema `<own>_v<version>_backup`; return its name."""
        name = f"{self.schema}_v{version}_backup"
        with self._session() as session:
            with session.transaction():
                session.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
                session.execute(f'CREATE SCHEMA "{name}"')
                for table in ("rows", "ledger"):
                    session.execute(f'CREATE TABLE "{name}".{table} AS TABLE {table}')
                failpoint("backup.before")
            failpoint("backup.after")
        return name

    def malformed(self, got: str) -> StoreError:
        """Return the error for a schema that is damaged or not ours; it stays as it is."""
        return self._trouble.malformed(got)

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield the writer's session, or the reader's, which `dispose` closes."""
        with self.errors():
            yield self._lock.session if self._lock is not None else self._reading()

    def _reading(self) -> psycopg.Connection[Any]:
        """Return the reader's session, a new one if it was lost (a reader holds no lock)."""
        if self._reader is None or self._reader.closed:
            self._reader = open_session(self._url, self.schema, self._trouble, write=False)
        return self._reader

    def _value(self, query: Any, values: Any = None) -> Any:
        with self._session() as session:
            found = session.execute(query, values).fetchone()
            session.rollback()
        return found[0] if found else None


def _statements() -> list[Any]:
    """Return the SQL statements that define a ledger on Postgres."""
    key = "INTEGER PRIMARY KEY AUTOINCREMENT"  # `seq` is ours on both: SQLite only counts with it
    rows = [statement.replace(key, "BIGINT PRIMARY KEY") for statement in migrations.SCHEMA]
    return [*rows, _LEDGER]
