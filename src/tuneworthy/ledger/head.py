"""How far a ledger had come, in a small file beside it: its last row, and the size of its mirror.

SQLite recovers to an older state without a word where its journal file (`ledger.sqlite-wal`) is
lost, and a file that was cut between two rows is whole again. What the ledger holds less than
this file says was lost. It is written after each commit and not synced: after a power failure it
may lag behind the ledger, never lead it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from tuneworthy.core.errors import StoreError
from tuneworthy.core.record import plain_file

HEAD = "head"
REPLIES = "replies.jsonl"  # the mirror: paid replies once more, as plain text
_SIZE = 128  # bytes; always the same, so that one write replaces the whole


class End(NamedTuple):
    """The number and the hash of the last row, and the bytes of the mirror (0: there is none)."""

    seq: int
    link: str
    mirror: int


class Head:
    """The file, open for writing until `close`. What can't be written is let go: it is a check."""

    def __init__(self, store: Path) -> None:
        self._mirror, self._fd = store.with_name(REPLIES), -1
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(store.with_name(HEAD), flags, 0o600)

    def note(self, seq: int, link: str) -> None:
        """Write down the last row, and how long the mirror is now."""
        text = f"{seq} {link} {_size(self._mirror)} ".ljust(_SIZE - 1) + "\n"
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, text.encode(), 0)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._fd = -1


def read_end(store: Path) -> End | None:
    """Return what was written down, None where nothing was or it can't be read."""
    try:
        seq, link, mirror = plain_file(store.with_name(HEAD), _SIZE).decode("ascii").split()
        return End(int(seq), link, int(mirror))
    except (OSError, ValueError):
        return None


def forget(store: Path) -> None:
    """Remove the file: the store begins anew."""
    store.with_name(HEAD).unlink(missing_ok=True)


def lost(store: Path, seq: int, link: str | None, noted: End | None) -> StoreError | None:
    """Return the error for a store, or a mirror, that holds less than was written; else None.

    `seq` is the last row that the store has, `link` the hash that the noted row has in it. A
    mirror that is not there at all was removed on purpose: the store has every reply of it.
    """
    if noted is None:
        return None
    if seq < noted.seq or (link is not None and link != noted.link):
        return StoreError(
            "the end of the ledger is gone",
            where=str(store),
            got=f"{min(seq, noted.seq)} rows, and {noted.seq} were written",
            fix=f"restore {store.name} and {store.name}-wal from a backup; or remove {HEAD} beside "
            "it and run again: what is gone is measured again, paid replies are read back from "
            f"{REPLIES}",
            kept="the ledger as it is, untouched",
        )
    mirror = store.with_name(REPLIES)
    if mirror.exists() and (size := _size(mirror)) < noted.mirror:
        return StoreError(
            "the second copy of the paid replies was cut",
            where=str(mirror),
            got=f"{size:,} bytes, and {noted.mirror:,} were written",
            fix=f"restore it from a backup, or remove it: {store.name} holds every reply",
            kept="the ledger, with every reply",
        )
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
