"""What differs between the databases that can hold a ledger's rows: the one seam between them.

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
"""Kind, name and definition of all that a database has for a ledger."""


class Lock(Protocol):
    """A held lock of the one writer; `dirty`: the last holder never released it."""

    @property
    def dirty(self) -> bool:
        """Return whether the last writer did not end well."""

    def release(self, *, clean: bool = True) -> None:
        """Release the lock; unless `clean`, the next writer checks the store first."""


class Database(Protocol):
    """Where the rows of one ledger lie.

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
        """Return the writer's lock; StoreError that names the holder if another has it."""

    def exists(self) -> bool:
        """Return whether the ledger was created."""

    def create(self) -> None:
        """Create an empty ledger, whole or not at all."""

    def inspect(self) -> None:
        """Refuse what is no ledger of ours or a newer one, before anything is changed."""

    def engine(self, *, write: bool) -> sa.Engine:
        """Return an engine on the existing ledger; a reader's changes nothing."""

    def dispose(self, engine: sa.Engine | None) -> None:
        """Close what is open for reading, and the engine if one was made."""

    def claim(self, connection: sa.Connection) -> None:
        """Note in the database who writes, once its checks have passed."""

    def count(self, connection: sa.Connection, seq: int, link: str, added: int) -> None:
        """Note the last of `added` new rows in the transaction that adds them."""

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
