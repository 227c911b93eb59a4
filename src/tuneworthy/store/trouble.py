"""Translate disk and database errors into the one error that a user sees: StoreError, exit 7.

Knows no SQL. Disk full, read-only, no permission, too many files, I/O error, locked, malformed.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuneworthy.records.errors import StoreError

_DISK_FULL = ("the disk is full", "free some space, then run the same command again")
_READ_ONLY = (
    "the folder or its disk is read-only",
    "make it writable, or copy the study elsewhere",
)
_DENIED = (
    "no permission to use the store",
    "give this user read, write and search permission on the folder and those above it",
)
_TOO_MANY_FILES = ("too many open files", "raise the limit (`ulimit -n 1024`), then run again")
_DISK_FAILED = ("the disk failed", "look at the system log and the disk, then run again")
_LOCKED = ("the store is locked by another program", "close what has ledger.sqlite open, run again")
_FOLDER_MISSING = ("the folder of the study is not there", "check the path, or mount its disk")
_MALFORMED = "the store is malformed"
_ERRORS_OF_STORE = {
    errno.ENOSPC: _DISK_FULL, errno.EDQUOT: _DISK_FULL, errno.EFBIG: _DISK_FULL,
    errno.EROFS: _READ_ONLY, errno.EACCES: _DENIED, errno.EPERM: _DENIED,
    errno.EMFILE: _TOO_MANY_FILES, errno.ENFILE: _TOO_MANY_FILES,
    errno.ENOENT: _FOLDER_MISSING, errno.ENOTDIR: _FOLDER_MISSING,
}  # fmt: skip
_FILE_IN_THE_WAY = (
    "a file stands where a folder is needed",
    "move it away, then run the same command again",
)
_NAME_TOO_LONG = ("the name of a file is too long", "shorten it")
_LINK_LOOP = ("links lead to each other without end", "correct the path or the links")
_ERRORS_OF_STORE |= {
    errno.EEXIST: _FILE_IN_THE_WAY,
    errno.ENAMETOOLONG: _NAME_TOO_LONG,
    errno.ELOOP: _LINK_LOOP,
}
_OUTPUT_READ_ONLY = (_READ_ONLY[0], "make it writable, or write elsewhere: -o PATH")
_NO_FOLDER = ("there is no folder to write into", "make the folder first, or correct the path")
_FOLDER_IN_THE_WAY = (
    "a folder stands where a file is to be written",
    "name a file inside it: -o PATH",
)
_ERRORS_OF_OUTPUT = {
    errno.EROFS: _OUTPUT_READ_ONLY, errno.EACCES: _OUTPUT_READ_ONLY, errno.EPERM: _OUTPUT_READ_ONLY,
    errno.ENOENT: _NO_FOLDER, errno.ENOTDIR: _FILE_IN_THE_WAY, errno.EISDIR: _FOLDER_IN_THE_WAY,
    errno.ENXIO: ("a pipe stands where a file is to be written", "name a file: -o PATH"),
}  # fmt: skip
_ERRORS_OF_SQLITE = {
    "SQLITE_FULL": _DISK_FULL, "SQLITE_READONLY": _READ_ONLY, "SQLITE_PERM": _DENIED,
    "SQLITE_BUSY": _LOCKED, "SQLITE_LOCKED": _LOCKED, "SQLITE_CANTOPEN": _DENIED,
}  # fmt: skip
_DAMAGED_STORE_CODES = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn OSError and database errors inside the block into StoreError, with `path` as where."""
    try:
        yield
    except OSError as error:
        what, fix = _ERRORS_OF_STORE.get(error.errno or 0, _DISK_FAILED)
        raise StoreError(what, where=str(path), got=str(error), fix=fix) from error
    except sqlite3.Error as error:
        raise _from_sqlite(error, path) from error


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn OSError inside the block into StoreError; `path` is an output file of the user.

    The message does not distinguish missing permission from a read-only disk. A pipe is refused:
    opening one blocks until it has a reader.
    """
    try:
        if path.is_fifo():
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(path))
        yield
    except OSError as error:
        raise from_system(error, str(path)) from error


def from_system(error: OSError, where: str) -> StoreError:
    """Return the StoreError for an OSError on an output file or on standard output."""
    what, fix = _ERRORS_OF_OUTPUT.get(error.errno or 0) or _ERRORS_OF_STORE.get(
        error.errno or 0, _DISK_FAILED
    )
    return StoreError(what, where=where, got=str(error), fix=fix)


def _from_sqlite(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the StoreError for a SQLite error; copy a malformed store to quarantine."""
    name = str(getattr(error, "sqlite_errorname", None) or "")
    if name.startswith(_DAMAGED_STORE_CODES) or "malformed" in str(error):
        return malformed_error(path, str(error))
    message = next(
        (text for start, text in _ERRORS_OF_SQLITE.items() if name.startswith(start)), _DISK_FAILED
    )
    return StoreError(message[0], where=str(path), got=f"{error} {name}".strip(), fix=message[1])


def malformed_error(path: Path, got: str) -> StoreError:
    """Copy a malformed store (and its journal) to quarantine and return the error that names it."""
    copy = _copy_to_quarantine(path)
    return StoreError(
        _MALFORMED,
        where=str(path),
        got=got,
        fix=f"restore {path.name} from a backup, or remove it and {path.name}-wal and run again: "
        "what is gone is measured again, paid replies are read back from replies.jsonl",
        kept=f"a copy of the malformed store, {copy}" if copy else "the malformed store, untouched",
    )


def _copy_to_quarantine(path: Path) -> Path | None:
    """Copy the store and its journal to quarantine/NAME.n; return the copy's path, None if none.

    A store that has not changed since its last copy is not copied again: pages of the lab read it
    often. No copy: a full or read-only disk; the original is never touched.
    """
    folder = path.parent / "quarantine"
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        last = max((int(p.suffix[1:]) for p in folder.glob(f"{path.name}.*")
                    if p.suffix[1:].isdecimal()), default=0)  # fmt: skip
        tails = [tail for tail in ("", "-wal") if os.path.exists(f"{path}{tail}")]
        copies = {tail: folder / f"{path.name}{tail}.{last}" for tail in ("", "-wal")}
        if [tail for tail in copies if copies[tail].exists()] == tails and all(
            _same_stamp(Path(f"{path}{tail}"), copies[tail]) for tail in tails
        ):
            return copies[""]
        for tail in tails:
            shutil.copy2(f"{path}{tail}", folder / f"{path.name}{tail}.{last + 1}")
    except OSError:
        return None
    return folder / f"{path.name}.{last + 1}"


def _same_stamp(one: Path, other: Path) -> bool:
    """Return whether two files have the same size and time of their last change."""
    first, second = one.stat(), other.stat()
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)
