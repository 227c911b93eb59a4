"""The open lab, which all requests share: its folder, records, live runs, blind runs, access.

One lab writes to a folder. A second lab on the same folder only reads: it shows records and the
runs of the first, and starts none. Knows no HTTP library.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tuneworthy.handover.serve.listening import is_loopback
from tuneworthy.lab.blind_runs import BlindRun, BlindRuns
from tuneworthy.lab.child_call import end_children
from tuneworthy.lab.events import EventLog
from tuneworthy.lab.jobs import Jobs
from tuneworthy.lab.lab_folder import is_id, make_lab_folder
from tuneworthy.lab.own_folders import OwnFolders
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import PACKAGE_RECORDS, RecordStore
from tuneworthy.lab.run_process import OpenRunner, open_experiments
from tuneworthy.lab.security import Access, write_access
from tuneworthy.lab.study_settling import OpenSettling
from tuneworthy.records.errors import StoreError
from tuneworthy.records.escape import visible
from tuneworthy.store.lock import WriterLock, acquire, holder

_REFUSAL_REPEAT_SECONDS = 60.0  # the least seconds between two equal lines about refused requests


@dataclass
class Lab:
    """An open lab. `jobs` is None in a second lab on the same folder, which reads only."""

    folder: Path
    records: RecordStore
    blind_runs: BlindRuns
    access: Access
    jobs: Jobs | None
    lock: WriterLock | None
    say: Callable[[str], None] = lambda line: None
    own_folders: OwnFolders = field(default_factory=OwnFolders)
    open_settling: OpenSettling = field(default_factory=OpenSettling)
    closing: bool = False
    _logged_at: dict[str, float] = field(default_factory=dict)

    @property
    def working(self) -> Path:
        """Return the folder in which the lab was started."""
        return self.folder.parent.parent

    def running(self) -> Jobs:
        """Return the queue of live runs. Raises Problem (409) in a lab that only reads."""
        if self.jobs is None:
            raise Problem(
                409, "another lab on this folder runs the experiments", where=str(self.folder),
                got=holder_of(self.folder), fix="use its pages, or end it and start this one again",
            )  # fmt: skip
        return self.jobs

    def log_of(self, name: str) -> EventLog | None:
        """Return the event log of a run by id, of this lab or in its folder; None if unknown."""
        if self.jobs is not None:
            return self.jobs.log_of(name)
        return EventLog.read(self.folder / "runs" / f"{name}.jsonl") if is_id(name) else None

    def blind_run(self, key: str) -> BlindRun:
        """Return the blind run of a key. Raises Problem (404) for an unknown key."""
        run = self.blind_runs.find(key)
        if run is None:
            raise Problem(404, "no blind run has this key", where="the address", got=key,
                          fix="start a new one on the first page")  # fmt: skip
        return run

    def log_problem(self, line: str) -> None:
        """Log a line on a refused or failed request, equal lines at most once a minute."""
        now = time.monotonic()
        if now - self._logged_at.get(line, -_REFUSAL_REPEAT_SECONDS) >= _REFUSAL_REPEAT_SECONDS:
            self._logged_at[line] = now
            self.say(visible(line))

    def end_streams(self) -> None:
        """End the event streams of all browsers, so that the server can end."""
        self.closing = True
        if self.jobs:
            self.jobs.end_streams()

    def close(self) -> None:
        """Stop the current run, end all child processes and release the folder's lock."""
        self.end_streams()
        end_children()
        self.open_settling.close()
        if self.jobs:
            self.jobs.close()
        if self.lock:
            self.lock.release()


def open_lab(
    working: Path,
    where: tuple[str, int],
    access: Access | None = None,
    open_runner: OpenRunner = open_experiments,
    say: Callable[[str], None] = lambda line: None,
    own: OwnFolders | None = None,
) -> Lab:
    """Return the open lab of a working folder for the address `where` (host, port).

    `own` are the training folders that it may check. Raises SecurityError for links in its folder,
    StoreError if it can't write there.
    """
    folder = make_lab_folder(working)
    host, port = where
    lock = _take_lock(folder)
    access = access or Access(port, host)  # a new secret: another program had the port meanwhile
    records = RecordStore(PACKAGE_RECORDS, folder / "records")
    jobs = None
    if lock is not None:
        if is_loopback(host):
            write_access(folder, access)
        jobs = Jobs(folder, records, open_runner)
    blind = BlindRuns(folder / "blind.jsonl")
    return Lab(folder, records, blind, access, jobs, lock, say, own or OwnFolders())


def _take_lock(folder: Path) -> WriterLock | None:
    """Return the lock of a lab's folder, None if another lab holds it."""
    try:
        return acquire(folder / "lock")
    except StoreError:
        return None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StoreError(
            "the disk is full" if full else "the lab cannot write to its folder",
            where=str(folder), got=error.strerror or "",
            fix="free some space" if full else "start it in a folder that this user may write to",
            kept="everything: nothing was changed",
        ) from error  # fmt: skip


def holder_of(folder: Path) -> str:
    """Return in words which process holds the lock of a lab's folder; "nobody" if none does."""
    who = holder(folder / "lock")
    return f"process {who['pid']} on {who['host']}, since {who['since']}" if who else "nobody"
