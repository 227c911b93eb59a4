"""Open the rows of a ledger: create them if missing, migrate and check them first.

Independent of what rows mean.
"""

from __future__ import annotations

from tuneworthy.core.errors import StoreError
from tuneworthy.ledger import migrations
from tuneworthy.ledger.database import Database
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.journal import Journal
from tuneworthy.ledger.lock import WriterLock


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
