"""P14: one writer; the second is told who holds it; what a crash left is recovered."""

import json
import os
import signal
import socket
import time

import pytest

from tuneworthy.records.errors import StoreError
from tuneworthy.store import lock
from tuneworthy.store.store import open_ledger


def snapshot(folder):
    return {
        p.relative_to(folder): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else None)
        for p in sorted(folder.rglob("*"))
    }


def test_p14_the_second_writer_changes_nothing_and_is_told_who_and_since_when(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.put("k", "x", {})
        before = snapshot(tmp_path)
        with pytest.raises(StoreError) as error:
            open_ledger(tmp_path)
        assert snapshot(tmp_path) == before
        assert error.value.exit_code == 7
        for word in (socket.gethostname(), f"pid {os.getpid()}", "since 20"):
            assert word in error.value.got
        assert "nothing was changed" in error.value.kept
    open_ledger(tmp_path).close()


def killed_writer(folder):
    """Open the ledger in a child that is killed with it open; return the child's pid."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        ledger = open_ledger(folder)
        ledger.put("k", "x", {"a": 1})
        os.write(told, b"x")
        time.sleep(60)
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready), os.close(told)
    return child


def test_i143_the_lock_of_a_killed_writer_is_recovered_and_the_store_is_checked(tmp_path):
    child = killed_writer(tmp_path)
    left = lock.holder(tmp_path / ".tuneworthy" / "lock")
    assert (left["pid"], left["alive"]) == (child, False)
    said = []
    with open_ledger(tmp_path, say=said.append) as ledger:
        assert ledger.recovered
        assert ledger.get("k") == {"a": 1}
    assert "checked" in said[0]
    with open_ledger(tmp_path, say=said.append) as ledger:
        assert not ledger.recovered
    assert len(said) == 1


@pytest.mark.parametrize(
    "left",
    [
        {"pid": os.getpid(), "started": 1.0},  # the pid is in use again, by another process
        {"pid": os.getpid(), "started": None},
        {"pid": 2**22 + 1, "started": 1.0},  # no such process
        {"pid": 1, "started": 1.0, "host": "a host that was renamed"},
    ],
)
def test_p14_a_reused_pid_or_a_new_host_name_does_not_keep_a_stale_lock(tmp_path, left):
    open_ledger(tmp_path).close()
    text = json.dumps({"host": socket.gethostname(), "since": "2020", **left})
    (tmp_path / ".tuneworthy" / "lock").write_text(text)
    if "host" not in left:
        assert not lock.holder(tmp_path / ".tuneworthy" / "lock")["alive"]
    with open_ledger(tmp_path, say=lambda text: None) as ledger:
        assert ledger.recovered


def test_p14_on_a_doubtful_disk_another_hosts_lock_is_not_taken(tmp_path):
    path = tmp_path / "lock"
    path.write_text(json.dumps({"host": "another", "pid": 5, "since": "2026-01-01"}))
    with pytest.raises(StoreError, match="another machine") as error:
        lock.acquire(path, trusted=False)
    assert "another" in error.value.got
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": 5}))
    lock.acquire(path, trusted=False).release()


def test_a_removed_lock_file_locks_nobody_out_and_nobody_in(tmp_path):
    first = lock.acquire(tmp_path / "lock")
    (tmp_path / "lock").unlink()
    second = lock.acquire(
        tmp_path / "lock"
    )  # a new file is a new lock: never remove it while running
    second.release()
    first.release()
    assert lock.holder(tmp_path / "lock") is None
    assert lock.holder(tmp_path / "no lock") is None


def test_a_child_does_not_keep_the_lock_when_its_parent_is_gone(tmp_path):
    ready, told = os.pipe()
    writer = os.fork()
    if writer == 0:
        open_ledger(tmp_path)
        if os.fork() == 0:
            os.write(told, str(os.getpid()).encode())
            time.sleep(30)
            os._exit(0)
        time.sleep(30)
    grandchild = int(os.read(ready, 20))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    try:
        with open_ledger(tmp_path, say=lambda text: None) as ledger:
            assert ledger.recovered
    finally:
        os.kill(grandchild, signal.SIGKILL)
