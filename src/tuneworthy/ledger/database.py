"""Declare what SQLite and Postgres do differently for a ledger: the one interface between them.

A ledger is one table of rows (`journal.py`) in an SQLite file beside the task or in a schema of a
Postgres server. Locks, blobs and the mirror of paid replies are files in `.tuneworthy` for both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tuneworthy.core.errors import StoreError

if TYPE_CHECKING:  # SQLAlchemy is slow to import, which would delay `--help`
    import sqlalchemy as sa

Definitions = set[tuple[str, str, str]]
"""(kind, name, definition) of each table, index, trigger and view that a ledger has."""


class Lock(Protocol):
    """A held lock of the one writer; `dirty`: the last holder never released it."""

    @property
    def dirty(self) -> bool:
        """Return whether the last writer did not end well."""

    def release(self, *, clean: bool = True) -> None:
        """Release the lock; unless `clean`, the next writer checks the store first."""


class Database(Protocol):
    """The database that has the rows of one ledger.

    `home` is `.tuneworthy`; `head` the file that notes the last row; `shown` names the ledger in
    messages, without a password; `called` is its short name and `files` what a backup of it holds.
    """

    home: Path
    head: Path
    shown: str
    called: str
    files: str

    def errors(self) -> AbstractContextManager[None]:
        """Turn errors of the disk and of the database inside the block into StoreError."""

    def acquire(self, say: Callable[[str], None]) -> Lock:
        """Return the writer's lock; raise StoreError with the holder's name if another has it."""

    def exists(self) -> bool:
        """Return whether the ledger was created."""

    def create(self) -> None:
        """Create an empty ledger atomically."""

    def inspect(self) -> None:
        """Raise StoreError for a newer ledger or one that is not ours; change nothing."""

    def engine(self, *, write: bool) -> sa.Engine:
        """Return an engine on the existing ledger; a reader's changes nothing."""

    def dispose(self, engine: sa.Engine | None) -> None:
        """Close the reader's session, if one is open, and the engine, if one was made."""

    def claim(self, connection: sa.Connection) -> None:
        """Note this process in the database as its writer, once the checks have passed."""

    def count(self, connection: sa.Connection, seq: int, link: str, added: int) -> None:
        """Note number and hash of the last of `added` new rows, in their transaction."""

    def counted(self, connection: sa.Connection) -> int:
        """Return how many rows were ever added, by the database's own counter."""

    def version(self, connection: sa.Connection) -> int:
        """Return the schema version of the ledger."""

    def set_version(self, connection: sa.Connection, version: int) -> None:
        """Set the schema version, in the transaction of the migration step."""

    def definitions(self, connection: sa.Connection) -> Definitions:
        """Return what the ledger has: tables, indexes, triggers, views."""

    def own_definitions(self) -> Definitions:
        """Return what a ledger of this release has."""

    def integrity(self, connection: sa.Connection) -> str:
        """Return what the database itself finds damaged, "" if nothing."""

    def backup(self, version: int) -> object:
        """Copy the ledger before it is migrated from a version; return where the copy is."""

    def malformed(self, got: str) -> StoreError:
        """Return the error for a ledger that is damaged or not ours."""
