"""The SQLite file of a ledger: made atomically, checked, opened, backed up; its `head` file.

Write-ahead log, `synchronous=FULL`: a transaction is on the disk when it returns.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tuneworthy.records.errors import StoreError
from tuneworthy.records.record import plain_file
from tuneworthy.store.blobs import sync
from tuneworthy.store.failpoint import failpoint
from tuneworthy.store.lock import LOCK_FILE, WriterLock, acquire
from tuneworthy.store.trouble import malformed_error, store_errors

_APPLICATION = 0x74776C67  # "twlg", written into the file's header

_MAGIC = b"SQLite format 3\x00"


Definitions = set[tuple[str, str, str]]

"""(kind, name, definition) of each table, index, trigger and view that a ledger has."""


class Database:
    """The SQLite file that has the rows of one ledger.

    `home` is `.tuneworthy`; `head` the file that notes the last row; `shown` names the ledger in
    messages; `called` is its short name and `files` what a backup of it holds.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.home, self.head = path, path.parent, path.with_name(HEAD_FILE)
        self.shown, self.called = str(path), path.name
        self.files = f"{path.name} and {path.name}-wal"

    def errors(self) -> AbstractContextManager[None]:
        """Turn errors of the disk and of SQLite inside the block into StoreError."""
        return store_errors(self.path)

    def acquire(self, say: Callable[[str], None]) -> WriterLock:
        """Return the writer's lock, after a check of the disk; make the folder if missing."""
        with store_errors(self.home):
            warning = check_disk(self.home.parent)
            self.home.mkdir(mode=0o700, exist_ok=True)
            lock = acquire(self.home / LOCK_FILE, trusted=not warning)
        if warning:
            say(warning)
        return lock

    def exists(self) -> bool:
        """Return whether the file exists. Raises StoreError for a journal without its file."""
        if os.path.lexists(self.path):
            return True
        if os.path.exists(f"{self.path}-wal"):
            raise self.malformed(f"{self.path.name}-wal is there and {self.path.name} is not")
        return False

    def create(self) -> None:
        """Create an empty store atomically: written under a temporary name, synced, renamed."""
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        _remove_head(self.head)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(fresh, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN")
            _create_schema(connection)
            failpoint("create.before")
            connection.execute("COMMIT")
        finally:
            connection.close()
        os.rename(fresh, self.path)
        sync(self.home)
        failpoint("create.after")

    def inspect(self) -> None:
        """Raise StoreError unless the file is a whole store that this release can read."""
        path = self.path
        if path.is_symlink() or not path.is_file():
            raise StoreError(
                "the store is not a plain file", where=str(path), fix="remove it and run again"
            )
        with path.open("rb") as file:
            head = file.read(100)
        if len(head) < 100 or not head.startswith(_MAGIC):
            raise self.malformed(f"{path.stat().st_size} bytes that are no SQLite file")
        if int.from_bytes(head[68:72], "big") != _APPLICATION:
            raise self.malformed("an SQLite file that tuneworthy did not make")
        refuse_newer(self.shown, int.from_bytes(head[60:64], "big"))
        page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
        size = path.stat().st_size
        if not os.path.exists(f"{path}-wal") and size < (65536 if page == 1 else page) * pages:
            raise self.malformed(f"{size:,} bytes of {pages} pages of {page}: the end is cut off")

    def connect(self, *, write: bool) -> sqlite3.Connection:
        """Return a connection to the existing file; a reader's changes nothing."""
        return _connect(self.path, write=write)

    def own_definitions(self) -> Definitions:
        """Return the set of table and index definitions that a new store of this release has."""
        connection = sqlite3.connect(":memory:")
        try:
            _create_schema(connection)
            return as_definitions(connection.execute("SELECT type, name, sql FROM sqlite_master"))
        finally:
            connection.close()

    def backup(self, version: int) -> Path:
        """Copy the store with its journal to `ledger.v<version>.backup.sqlite`; return the path."""
        final = self.path.with_name(f"{self.path.stem}.v{version}.backup.sqlite")
        part = final.with_name(final.name + ".part")
        with store_errors(final):
            part.unlink(missing_ok=True)
            source, target = _connect(self.path, write=False), sqlite3.connect(part)
            try:
                source.backup(target)
            finally:
                source.close()
                target.close()
            os.chmod(part, 0o600)
            failpoint("backup.before")
            os.rename(part, final)
            sync(final.parent)
            failpoint("backup.after")
        return final

    def malformed(self, got: str) -> StoreError:
        """Copy the malformed file to quarantine and return the error that names the copy."""
        return malformed_error(self.path, got)


def _create_schema(connection: sqlite3.Connection) -> None:
    for statement in SCHEMA_STATEMENTS:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={_APPLICATION}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def as_definitions(schema: Iterable[Any]) -> Definitions:
    """Return rows of sqlite_master as a set of (type, name, sql), runs of spaces made one."""
    return {(kind, name, " ".join((sql or "").split())) for kind, name, sql in schema}


def _connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Return a connection to an existing store that trusts nothing defined in the file."""
    mode = "rw" if write else _read_mode(path)
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=10,
        isolation_level=None,  # we begin transactions ourselves, not the driver
        check_same_thread=False,
    )
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")
        if write:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        else:
            connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _read_mode(path: Path) -> str:
    # In a read-only folder without a journal SQLite can't create its shared memory; nobody else
    # can write there either, so the file may be opened as immutable.
    still = not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()
    return "ro&immutable=1" if still else "ro"


_NETWORK_FILESYSTEMS = {
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "davfs",
    "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "ocfs2", "ncpfs", "coda",
}  # fmt: skip

_NETWORK_FUSE = (
    "sshfs", "s3fs", "gcsfuse", "goofys", "rclone", "davfs", "gluster", "ceph", "blobfuse",
    "curlftpfs", "mountpoint-s3", "juicefs",
)  # fmt: skip

_UNRELIABLE_FILESYSTEMS = {"9p", "virtiofs", "vboxsf", "drvfs", "prl_fs", "vmhgfs"}

_SYNCED_FOLDERS = (
    "dropbox", "onedrive", "google drive", "googledrive", "icloud", "com~apple~clouddocs",
    "nextcloud",
)  # fmt: skip


def filesystem(folder: Path) -> str:
    """Return the file system type of a folder (`ext4`, `nfs4`), "" if unknown."""
    import psutil

    try:
        mounts = psutil.disk_partitions(all=True)
    except OSError:
        return ""
    real, best, kind = folder.resolve(), -1, ""
    for mount in mounts:
        point = Path(mount.mountpoint)
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), str(mount.fstype)
    return kind.lower()


def check_disk(folder: Path) -> str:
    """Return "" for a trusted disk, else a warning; raise StoreError for a network disk."""
    kind = filesystem(folder)
    plain = kind.removeprefix("fuse.")
    if kind in _NETWORK_FILESYSTEMS or (kind != plain and plain.startswith(_NETWORK_FUSE)):
        raise StoreError(
            "the study is on a network disk, where the store could be damaged",
            where=str(folder),
            got=f"file system {kind}",
            fix="copy the folder to a local disk and run there",
            kept="everything: nothing was changed",
        )
    if kind in _UNRELIABLE_FILESYSTEMS or kind.startswith("fuse"):
        return (
            f"{folder} is on {kind}, whose locks may not hold between machines: "
            "let only one machine write here"
        )
    if any(part.lower().startswith(_SYNCED_FOLDERS) for part in folder.resolve().parts):
        return f"{folder} is in a synced folder: pause the sync while a run writes there"
    return ""


SCHEMA_VERSION = 1

MIGRATION_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {}

SCHEMA_STATEMENTS = (
    """CREATE TABLE rows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sort TEXT NOT NULL, name TEXT, kind TEXT NOT NULL,
    study TEXT NOT NULL, value TEXT NOT NULL, seconds FLOAT, at TEXT NOT NULL,
    link TEXT NOT NULL, UNIQUE (sort, name))""",
    "CREATE INDEX rows_by_study ON rows (sort, study)",
)


def refuse_newer(shown: str, version: int) -> None:
    """Raise StoreError for a store (by its name in messages) that a newer release made."""
    if version > SCHEMA_VERSION:
        raise StoreError(
            "the store was made by a newer tuneworthy",
            where=shown,
            got=f"store version {version}, this release knows up to {SCHEMA_VERSION}",
            fix="pip install --upgrade tuneworthy",
            kept="everything: nothing was changed",
        )


HEAD_FILE = "head"

REPLIES_FILE = "replies.jsonl"  # the mirror: a plain-text copy of paid replies

_HEAD_BYTES = 128  # constant, so that one write replaces the whole file


class HeadRecord(NamedTuple):
    """What the head file notes: number and hash of the last row, bytes of the mirror (0: none)."""

    seq: int
    link: str
    mirror: int


class Head:
    """Writes the head file, which tells the last row; write errors are ignored: it is a check."""

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


def _remove_head(path: Path) -> None:
    """Delete the head file, if there is one: a new store has no last row to compare with."""
    path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
