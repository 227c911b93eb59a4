"""P29: older stores are brought up to date after a backup; newer ones are refused untouched."""

import os
import signal
import sqlite3
from itertools import count
from pathlib import Path

import pytest
from tests.store_kit import edit

from tuneworthy.records.errors import StoreError
from tuneworthy.store import database
from tuneworthy.store.store import open_ledger

GOLDEN = Path(__file__).parent / "golden_store_v1.sql"
NOTE = "CREATE TABLE note (x TEXT)"
INDEX = "CREATE INDEX note_x ON note (x)"


def made(folder):
    with open_ledger(folder) as ledger:
        ledger.put("k", "x", {"a": 1}, "s")
    return folder


@pytest.fixture
def old(tmp_path):
    return made(tmp_path)


@pytest.fixture
def some_old(tmp_path):
    """Stores of this release, as many as wanted."""
    folders = (tmp_path / f"old {number}" for number in count())
    return (made(folder) for folder in folders if folder.mkdir() is None)


def path(folder):
    return folder / ".tuneworthy" / "ledger.sqlite"


@pytest.fixture
def release_3(monkeypatch):
    """Make this a later release, whose store has a table and an index more."""
    monkeypatch.setattr(database, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(database, "SCHEMA_STATEMENTS", (*database.SCHEMA_STATEMENTS, NOTE, INDEX))
    steps = {1: lambda c: c.execute(NOTE), 2: lambda c: c.execute(INDEX)}
    monkeypatch.setattr(database, "MIGRATION_STEPS", steps)


def version(folder):
    return edit(folder, "PRAGMA user_version")[0][0]


def saved(folder):
    """Return version and number of rows of the backup of version 1."""
    copy = folder / ".tuneworthy" / "ledger.v1.backup.sqlite"
    with sqlite3.connect(copy) as connection:
        found = connection.execute("PRAGMA user_version").fetchone()
        found += connection.execute("SELECT count(*) FROM rows").fetchone()
    connection.close()
    return found


def test_p29_an_old_store_migrates_with_a_backup_made_first(old, release_3):
    with open_ledger(old) as ledger:
        assert ledger.get("k") == {"a": 1}
        ledger.put("l", "x", {"a": 2})
        assert ledger.verify() == 2
    assert version(old) == 3
    assert saved(old) == (1, 1)
    open_ledger(old).close()
    assert saved(old) == (1, 1)


def test_p29_a_reader_migrates_an_old_store_too(old, release_3):
    with open_ledger(old, write=False, say=lambda text: None) as ledger:
        assert ledger.get("k") == {"a": 1}
    assert version(old) == 3


def test_p29_killed_anywhere_in_a_migration_the_next_opening_finishes_it(
    some_old, request, monkeypatch
):
    stores = [next(some_old) for _ in range(9)]
    request.getfixturevalue("release_3")
    for k, old in enumerate(stores, 1):
        child = os.fork()
        if child == 0:
            os.environ["TW_FAILPOINT"] = f"*:{k}:kill"
            os.close(2)
            os.open(os.devnull, os.O_WRONLY)
            open_ledger(old).close()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            break
        assert code == -signal.SIGKILL
        with open_ledger(old, say=lambda text: None) as ledger:
            assert ledger.get("k") == {"a": 1}
            assert version(old) == 3
    assert k == 7  # backup, step 1 and step 2, each with a before and an after


def test_p29_a_migration_that_fails_leaves_the_old_store(old, release_3, monkeypatch):
    def fails(connection):
        connection.execute("DELETE FROM rows")
        raise OSError(28, "no space")

    monkeypatch.setitem(database.MIGRATION_STEPS, 1, fails)
    with pytest.raises(StoreError, match="full"):
        open_ledger(old)
    monkeypatch.setitem(database.MIGRATION_STEPS, 1, lambda c: c.execute(NOTE))
    with open_ledger(old, say=lambda text: None) as ledger:
        assert ledger.get("k") == {"a": 1}


def content(folder):
    return {p.name: p.read_bytes() for p in path(folder).parent.iterdir() if p.name != "lock"}


@pytest.mark.parametrize("write", [True, False])
def test_p29_i146_a_newer_store_is_refused_untouched(old, write):
    edit(old, "PRAGMA user_version = 99")
    before = content(old)
    with pytest.raises(StoreError, match="newer") as error:
        open_ledger(old, write=write)
    assert error.value.exit_code == 7
    assert "version 99" in error.value.got
    assert "upgrade" in error.value.fix
    assert content(old) == before


def test_p29_a_store_too_old_to_migrate_says_so(old, release_3, monkeypatch):
    monkeypatch.setattr(database, "MIGRATION_STEPS", {2: database.MIGRATION_STEPS[2]})
    with pytest.raises(StoreError, match="older than this release"):
        open_ledger(old)


def test_p29_every_step_up_to_this_release_exists():
    assert set(database.MIGRATION_STEPS) == set(range(1, database.SCHEMA_VERSION))


def test_p29_the_store_of_release_0_1_opens(tmp_path):
    (tmp_path / ".tuneworthy").mkdir()
    with sqlite3.connect(path(tmp_path)) as connection:
        connection.executescript(GOLDEN.read_text("utf-8"))
    connection.close()
    with open_ledger(tmp_path) as ledger:
        assert ledger.verify() == 5
        assert ledger.get("k") == {"a": [1, 0.5, None, "é\u0000"]}
        assert ledger.seconds("k") == 1.5
        assert ledger.looks("s", "rows") == 1
        assert ledger.frozen("s", "plan") == {"minutes": 20}
