"""Open the rows of a ledger: create them if missing, migrate and check them first.

Independent of what rows mean and of the database. Imports SQLAlchemy only inside its functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneworthy.core.errors import StoreError
from tuneworthy.ledger.database import Database, Lock

if TYPE_CHECKING:  # SQLAlchemy is slow to import, which would delay `--help`
    from tuneworthy.ledger.journal import Journal


def open_journal(database: Database, lock: Lock, *, in_use: bool) -> Journal:
    """Return the writer's journal on a store of our version that passed its checks.

    `in_use`: this process has the store open already, for reading; see `read_journal`.
    """
    from tuneworthy.ledger import migrations
    from tuneworthy.ledger.journal import Journal

    with database.errors():
        if not database.exists():
            database.create()
        elif not in_use:
            database.inspect()
        journal = Journal(database, write=True)
        try:
            migrations.migrate(journal)
            migrations.check_schema(journal)
            journal.check_end()
            if lock.dirty:
                journal.check()
                journal.verify()
            journal.claim()
        except BaseException:
            journal.close()
            raise
    return journal


def read_journal(database: Database, *, in_use: bool) -> Journal | None:
    """Return a reader's journal; None for a store of an older version, which a writer migrates.

    `in_use`: this process has the store open already. Closing an SQLite file would drop the POSIX
    locks that SQLite holds on it in this process, so its header is read only if no ledger has it.
    """
    from tuneworthy.ledger import migrations
    from tuneworthy.ledger.journal import Journal

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
            migrations.check_schema(journal)
            journal.check_end()
    except BaseException:
        journal.close() if journal else database.dispose(None)
        raise
    return journal
