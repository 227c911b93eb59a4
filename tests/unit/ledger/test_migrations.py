"""P29: older stores are brought up to date after a backup; newer ones are refused untouched."""

import os
import signal
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from tuneworthy.core.errors import StoreError
from tuneworthy.ledger import migrations
from tuneworthy.ledger.journal import ROWS
from tuneworthy.ledger.store import open_ledger

GOLDEN = Path(__file__).parent / "golden_store_v1.sql"
NOTE = "CREATE TABLE note (x TEXT)"
INDEX = "CREATE INDEX note_x ON note (x)"


@pytest.fixture
def old(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.put("k", "x", {"a": 1}, "s")
    return tmp_path


def path(folder):
    return folder / ".tuneworthy" / "ledger.sqlite"


@pytest.fixture
def release_3(monkeypatch):
    """Make this a later release, whose store has a table and an index more."""
    monkeypatch.setattr(migrations, "VERSION", 3)
    monkeypatch.setattr(migrations, "SCHEMA", (*migrations.SCHEMA, NOTE, INDEX))
    steps = {1: lambda c: c.exec_driver_sql(NOTE), 2: lambda c: c.exec_driver_sql(INDEX)}
    monkeypatch.setattr(migrations, "STEPS", steps)


def version(store):
    with sqlite3.connect(store) as connection:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return found


def test_p29_an_old_store_migrates_with_a_backup_made_first(old, release_3):
    with open_ledger(old) as ledger:
        assert ledger.get("k") == {"a": 1}
        ledger.put("l", "x", {"a": 2})
        assert ledger.verify() == 2
    assert version(path(old)) == 3
    saved = old / ".tuneworthy" / "ledger.v1.backup.sqlite"
    assert version(saved) == 1
    with sqlite3.connect(saved) as connection:
        assert connection.execute("SELECT count(*) FROM rows").fetchone() == (1,)
    before = saved.stat().st_mtime_ns
    open_ledger(old).close()
    assert saved.stat().st_mtime_ns == before


def test_p29_a_reader_migrates_an_old_store_too(old, release_3):
    with open_ledger(old, write=False, say=lambda text: None) as ledger:
        assert ledger.get("k") == {"a": 1}
    assert version(path(old)) == 3


def test_p29_killed_anywhere_in_a_migration_the_next_opening_finishes_it(old, release_3):
    whole = path(old).read_bytes()
    for k in range(1, 20):
        path(old).write_bytes(whole)
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
            assert version(path(old)) == 3
        for tail in ("-wal", "-shm"):
            path(old).with_name(path(old).name + tail).unlink(missing_ok=True)
    assert k == 7  # backup, step 1 and step 2, each with a before and an after


def test_p29_a_migration_that_fails_leaves_the_old_store(old, release_3, monkeypatch):
    def fails(connection):
        connection.exec_driver_sql("DELETE FROM rows")
        raise OSError(28, "no space")

    monkeypatch.setitem(migrations.STEPS, 1, fails)
    with pytest.raises(StoreError, match="full"):
        open_ledger(old)
    monkeypatch.setitem(migrations.STEPS, 1, lambda c: c.exec_driver_sql(NOTE))
    with open_ledger(old, say=lambda text: None) as ledger:
        assert ledger.get("k") == {"a": 1}


@pytest.mark.parametrize("write", [True, False])
def test_p29_i146_a_newer_store_is_refused_untouched(old, write):
    with sqlite3.connect(path(old)) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = {p.name: p.read_bytes() for p in path(old).parent.iterdir() if p.name != "lock"}
    with pytest.raises(StoreError, match="newer") as error:
        open_ledger(old, write=write)
    assert error.value.exit_code == 7
    assert "version 99" in error.value.got
    assert "upgrade" in error.value.fix
    after = {p.name: p.read_bytes() for p in path(old).parent.iterdir() if p.name != "lock"}
    assert after == before


def test_p29_a_store_too_old_to_migrate_says_so(old, release_3, monkeypatch):
    monkeypatch.setattr(migrations, "STEPS", {2: migrations.STEPS[2]})
    with pytest.raises(StoreError, match="older than this release"):
        open_ledger(old)


def test_p29_every_step_up_to_this_release_exists():
    assert set(migrations.STEPS) == set(range(1, migrations.VERSION))


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


def test_the_table_that_is_queried_is_the_table_that_is_made(old):
    found = sa.inspect(sa.create_engine(f"sqlite:///{path(old)}")).get_columns("rows")
    made = {(c["name"], str(c["type"]), c["nullable"]) for c in found}
    asked = {(c.name, str(c.type), bool(c.nullable)) for c in ROWS.columns}
    assert {m for m in made if m[0] != "seq"} == {a for a in asked if a[0] != "seq"}
