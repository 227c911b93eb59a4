"""The SQLite file of a ledger: bad files, disks that are full, read-only, shared or locked."""

import sqlite3
import subprocess
import sys

import pytest
from tests.store_kit import edit, pragma

from tuneworthy.records.errors import StoreError
from tuneworthy.store import database
from tuneworthy.store.store import open_ledger


def quiet(folder, **options):
    return open_ledger(folder, say=lambda text: None, **options)


def path(folder):
    return folder / ".tuneworthy" / "ledger.sqlite"


def five_parts(error, *words):
    parts = error.value.plain()
    assert parts["exit_code"] == 7
    assert parts["error"] == "StoreError"
    assert all(parts[name] for name in ("what", "where", "fix", "kept")), parts
    for word in words:
        assert word in str(error.value), (word, str(error.value))


@pytest.fixture
def ledger(tmp_path):
    with quiet(tmp_path) as opened:
        yield opened


@pytest.fixture
def filled(tmp_path):
    with quiet(tmp_path) as ledger:
        for number in range(5):
            ledger.put(f"k{number}", "answer", {"text": f"right {number}"}, "s")
        assert ledger.verify() == 5
    return tmp_path


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(p.read_bytes()[:50]),
        lambda p: p.write_bytes(b"not a database at all" * 500),
        lambda p: p.write_bytes(p.read_bytes()[:6000]),
        lambda p: p.write_bytes(p.read_bytes()[:4096] + b"\xff" * 4096 + p.read_bytes()[8192:]),
    ],
    ids=["zero bytes", "cut header", "no SQLite", "truncated", "bad page"],
)
def test_i144_a_malformed_store_is_copied_to_quarantine_and_left_alone(filled, spoil):
    spoil(path(filled))
    bad = path(filled).read_bytes()
    (filled / ".tuneworthy" / "lock").write_text('{"pid": 1}')  # the last writer was killed
    with pytest.raises(StoreError) as error, quiet(filled) as ledger:
        ledger.verify()
    five_parts(error, "quarantine/ledger.sqlite.1")
    assert (filled / ".tuneworthy" / "quarantine" / "ledger.sqlite.1").read_bytes() == bad
    assert path(filled).read_bytes() == bad


def test_i145_an_orphan_journal_is_not_taken_for_a_new_study(filled):
    path(filled).with_name("ledger.sqlite-wal").write_bytes(path(filled).read_bytes())
    path(filled).unlink()
    with pytest.raises(StoreError, match="wal") as error:
        quiet(filled)
    five_parts(error)
    assert not path(filled).exists()


def test_another_programs_database_is_refused(tmp_path):
    (tmp_path / ".tuneworthy").mkdir()
    edit(tmp_path, "CREATE TABLE t (x)")
    with pytest.raises(StoreError, match="did not make"):
        quiet(tmp_path)


def test_a25_a_link_is_not_followed(filled, tmp_path):
    real = path(filled).rename(tmp_path / "elsewhere")
    path(filled).symlink_to(real)
    with pytest.raises(StoreError, match="plain file"):
        quiet(filled)


def test_i139_a_full_disk_at_commit_stops_and_nothing_stored_is_lost(ledger):
    ledger.put("k", "x", {"a": 1})
    pragma(ledger, f"max_page_count={pragma(ledger, 'page_count')}")
    with pytest.raises(StoreError, match="full") as error:
        ledger.put("big", "x", {"a": "x" * 10**6})
    five_parts(error, "space")
    assert ledger.get("k") == {"a": 1}
    assert ledger.get("big") is None
    assert ledger.verify() == 1


def test_i142_a_store_locked_by_another_program(ledger):
    ledger.put("k", "x", {})
    pragma(ledger, "busy_timeout=50")
    other = sqlite3.connect(path(ledger.home.parent), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as error:
        ledger.put("l", "x", {})
    five_parts(error)
    other.close()
    ledger.put("l", "x", {})


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_i141_a_network_disk_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(database, "filesystem", lambda folder: kind)
    with pytest.raises(StoreError, match="network disk") as error:
        quiet(tmp_path)
    five_parts(error, kind)
    assert not list(tmp_path.iterdir())


def test_i141_a_doubtful_disk_is_said_aloud(tmp_path, monkeypatch, capsys):
    assert database.filesystem(tmp_path)
    monkeypatch.setattr(database, "filesystem", lambda folder: "virtiofs")
    open_ledger(tmp_path).close()
    assert "virtiofs" in capsys.readouterr().err
    monkeypatch.setattr(database, "filesystem", lambda folder: "ext4")
    open_ledger(tmp_path).close()
    assert capsys.readouterr().err == ""
    synced = tmp_path / "Dropbox" / "study"
    synced.mkdir(parents=True)
    assert "sync" in database.check_disk(synced)


def test_light_commands_do_not_pay_for_the_database(tmp_path):
    code = "import sys, tuneworthy.store.store, tuneworthy.store.purse;"
    code += "sys.exit(any(name in sys.modules for name in ('psutil', 'torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a32_others_can_not_read_the_store(ledger):
    ledger.put("k", "x", {})
    assert ledger.home.stat().st_mode & 0o077 == 0
    assert path(ledger.home.parent).stat().st_mode & 0o077 == 0
    assert (ledger.home / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE extra (x)",
        "DROP INDEX rows_by_study",
    ],
)
def test_a54_a_store_that_defines_anything_else_is_refused(filled, planted):
    edit(filled, planted)
    for write in (True, False):
        with pytest.raises(StoreError) as error:
            quiet(filled, write=write)
        five_parts(error, "quarantine")


def test_a_committed_row_is_on_the_disk_and_readers_do_not_block(ledger):
    assert pragma(ledger, "synchronous") == 2  # FULL
    assert pragma(ledger, "journal_mode") == "wal"
