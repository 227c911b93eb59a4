"""One writer per study folder: the kernel holds the lock, the file names the holder.

Knows no SQL. The lock is `flock` on `.tuneworthy/lock`: taken atomically, released with the process
(crash, SIGKILL, reboot), never unlinked, so there is no stale lock to detect. The file's text
(host, pid, start of the process, since) is for the message; text left by a dead holder shows that
the last run ended badly.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuneworthy.records.errors import StoreError

LOCK_FILE = "lock"  # the file in `.tuneworthy`
_held_descriptors: set[int] = set()


@dataclass
class WriterLock:
    """A held lock. `dirty`: the last holder never released it (killed, or power loss)."""

    path: Path
    fd: int
    dirty: bool

    def release(self, *, clean: bool = True) -> None:
        """Release the lock; unless `clean`, the next writer checks the store first."""
        if self.fd < 0:
            return
        if clean:
            os.ftruncate(self.fd, 0)
        _held_descriptors.discard(self.fd)
        os.close(self.fd)
        self.fd = -1


def acquire(path: Path, *, trusted: bool = True) -> WriterLock:
    """Return the writer's lock, or raise StoreError that names its holder and change nothing.

    `trusted`: this disk's locks are known to hold between machines, or it is not shared. On other
    disks a lock left by another host is not taken over, since its holder may be alive.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise _busy_error_at(path) from None
        except OSError:
            os.close(fd)
            raise
        if _same_file(fd, path):
            break
        os.close(fd)  # the file was removed between open and flock, so this lock is void
    left = _read_holder(fd)
    if left and not trusted and left.get("host") != socket.gethostname():
        os.close(fd)
        raise _foreign_error(path, left)
    dirty = os.fstat(fd).st_size > 0
    name = json.dumps(_writer_name()).encode()
    os.pwrite(fd, name, 0)  # overwrite, then truncate: a kill in between leaves it dirty
    os.ftruncate(fd, len(name))
    _held_descriptors.add(fd)
    return WriterLock(path, fd, dirty)


def holder(path: Path) -> dict[str, Any] | None:
    """Return the dict in a lock file (host, pid, started, since, alive), None if released.

    `alive` is False if that process is gone on this host: its pid is free or reused.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        owner = _read_holder(fd)
    finally:
        os.close(fd)
    if owner is not None:
        owner["alive"] = is_alive(owner)
    return owner


def _process_start(pid: int) -> float | None:
    """Return when a process began (seconds since 1970), or None if there is no such process."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(owner: dict[str, Any]) -> bool:
    """Return whether the process that a lock names still runs; True if it is on another host."""
    if owner.get("host") != socket.gethostname():
        return True  # not visible from this host, so assume that it lives
    try:
        began = _process_start(int(owner.get("pid", -1)))
        # A pid may be reused after a crash or a reboot; pid plus start time is unique.
        return began is not None and abs(began - float(owner.get("started") or 0)) < 2
    except (TypeError, ValueError, OverflowError):  # something else wrote that file
        return False


def _writer_name() -> dict[str, Any]:
    """Return the dict that a lock file holds about this process: host, pid, started, since."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "started": _process_start(pid),
        "since": since,
    }


def _read_holder(fd: int) -> dict[str, Any] | None:
    try:
        owner = json.loads(os.pread(fd, 4096, 0) or b"null")
    except (ValueError, RecursionError):
        return None
    return owner if isinstance(owner, dict) else None


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _busy_error_at(path: Path) -> StoreError:
    who = None
    for _ in range(20):  # the holder writes its name just after taking the lock
        who = holder(path)
        if who and who["alive"]:
            break
        time.sleep(0.01)
    return _busy_error(str(path.parent), who)


def _busy_error(where: str, who: dict[str, Any] | None) -> StoreError:
    """Return the error for a ledger that process `who` (see `holder`) has open for writing."""
    name = "a process that left no name"
    if who:
        name = f"host {who.get('host')}, pid {who.get('pid')}, since {who.get('since')}"
        name += "" if who["alive"] else " (that process is gone; one it started goes on)"
    return StoreError(
        "another run has this study open",
        where=where,
        got=name,
        fix="wait until it ends or stop it; `tuneworthy report` can read meanwhile",
        kept="everything: nothing was changed",
    )


def _foreign_error(path: Path, left: dict[str, Any]) -> StoreError:
    return StoreError(
        "another machine had this study open and did not close it",
        where=str(path.parent),
        got=f"host {left.get('host')}, pid {left.get('pid')}, since {left.get('since')}",
        fix=f"make sure that it has ended there, then remove {path}",
        kept="everything: nothing was changed",
    )


def _forget_in_child() -> None:
    # A forked child shares the lock and would keep it after the writer has died.
    for fd in _held_descriptors:
        os.close(fd)
    _held_descriptors.clear()


os.register_at_fork(after_in_child=_forget_in_child)
