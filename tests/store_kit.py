"""Change the stored rows of a ledger behind its back, for tests."""

import sqlite3


def edit(folder, *statements):
    """Change the stored rows; return what the last statement found."""
    with sqlite3.connect(folder / ".tuneworthy" / "ledger.sqlite") as connection:
        for statement in statements:
            last = connection.execute(statement)
        found = last.fetchall()
    connection.close()
    return found


def lose(folder):
    """Remove the stored rows of a folder's ledger, as a lost disk does."""
    (folder / ".tuneworthy" / "ledger.sqlite").unlink()


def pragma(ledger, setting):
    """Change or read a setting of the open store; most can't be changed inside a transaction."""
    with ledger.journal.transaction():
        pass  # the connection is made by the first query
    found = ledger.journal._connection.execute(f"PRAGMA {setting}").fetchone()
    return found[0] if found else None


def unsynced(ledger):
    """Leave out the syncs of an open ledger: for tests that are about sums, not about the disk."""
    pragma(ledger, "synchronous=OFF")
