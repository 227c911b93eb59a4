"""The head file beside a ledger: its last row and the size of its mirror, to detect lost data.

SQLite silently recovers to an older state if its journal file (`ledger.sqlite-wal`) is lost, and a
file cut between two rows is valid again. If the ledger holds less than this file says, data was
lost. The head file is written after each commit and not synced: after a power failure it may be
behind the ledger, never ahead of it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from tuneworthy.core.record import plain_file

HEAD_FILE = "head"
REPLIES_FILE = "replies.jsonl"  # the mirror: a plain-text copy of paid replies
_HEAD_BYTES = 128  # constant, so that one write replaces the whole file


class HeadRecord(NamedTuple):
    """Number and hash of the last row, and the bytes of the mirror (0: there is none)."""

    seq: int
    link: str
    mirror: int


class Head:
    """The head file, open for writing until `close`; write errors are ignored: it is a check."""

    def __init__(self, path: Path) -> None:
        self._mirror, self._fd = path.with_name(REPLIES_FILE), -1
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(path, flags, 0o600)

    def note(self, seq: int, link: str) -> None:
        """Write number and hash of the last row, and the present size of the mirror."""
        text = f"{seq} {link} {size_of(self._mirror)} ".ljust(_HEAD_BYTES - 1) + "\n"
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, text.encode(), 0)

    def close(self) -> None:
        """Close the head file."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._fd = -1


def read_head(path: Path) -> HeadRecord | None:
    """Return the record in a head file, None if it is missing or unreadable."""
    try:
        seq, link, mirror = plain_file(path, _HEAD_BYTES).decode("ascii").split()
        return HeadRecord(int(seq), link, int(mirror))
    except (OSError, ValueError):
        return None


def remove_head(path: Path) -> None:
    """Delete the head file, if there is one: a new store has no last row to compare with."""
    path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
