"""The ledger: a result is stored once and never recomputed. To resume is to call again.

Independent of statistics and models. `.tuneworthy/` beside task.yaml holds ledger.sqlite
(append-only), blobs/ (artefacts) and lock (the writer). A key is the content hash of everything
that can change the value. There is one writer; readers never block it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tuneworthy.records.case import HASH_DIGITS
from tuneworthy.records.errors import StoreError
from tuneworthy.records.escape import visible
from tuneworthy.records.record import canonical, digest
from tuneworthy.store import blobs, signals
from tuneworthy.store.blobs import remove_partial, require_whole
from tuneworthy.store.bookings import Bookings
from tuneworthy.store.database import REPLIES_FILE, Database
from tuneworthy.store.journal import Entry, Journal, Row, open_journal, read_journal
from tuneworthy.store.lock import WriterLock
from tuneworthy.store.mirror import restore_replies
from tuneworthy.store.place import database_of, noted_server
from tuneworthy.store.trouble import store_errors

if TYPE_CHECKING:
    from tuneworthy.store.purse import StudyAccount

_BLOBS_FOLDER = "blobs"
# The kinds under which a look that was given back, and then taken after all, are frozen.
RELEASED_LOOK, RETAKEN_LOOK = "look released", "look taken again"
MIN_SHARED = 0.05  # share of cases; fewer can't move a mean by the usual margin
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")
_open_here: dict[str, int] = {}


def is_opened(marks: Collection[str], known: Iterable[str]) -> bool:
    """Return whether a study that opened the cases `known` opened 1 in 20 of the cases `marks`.

    A mark is one digest of a case or several, written one after the other: one of them suffices.
    """
    parts = {part for mark in known for part in _parts(mark)}
    same = sum(not parts.isdisjoint(_parts(mark)) for mark in set(marks)) if parts else 0
    return same > 0 and same >= MIN_SHARED * len(set(marks))


def _parts(mark: str) -> list[str]:
    return [mark[at : at + HASH_DIGITS] for at in range(0, len(mark), HASH_DIGITS)]


class Ledger(Bookings):
    """An open ledger. Every write is on the disk when the call returns. Thread-safe.

    `home` is the `.tuneworthy` folder; `recovered` is True if the last writer did not end well and
    the store was checked. Writes to a ledger opened for reading raise StoreError.
    """

    def __init__(self, home: Path, journal: Journal, lock: WriterLock | None) -> None:
        super().__init__()
        self.home, self.journal = home, journal
        self.recovered = lock is not None and lock.dirty
        self.accounts: dict[str, StudyAccount] = {}
        self._lock, self._pid = lock, os.getpid()
        self._making: dict[str, threading.RLock] = {}
        self._held: dict[str, dict[str, Any]] = {}
        _open_here[journal.shown] = _open_here.get(journal.shown, 0) + 1

    # Units: a value under a key, computed once.

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the value stored or held under a key, or None; StoreError if it was edited."""
        if key in self._held:
            return self._held[key]
        row = self.journal.find("unit", key)
        return None if row is None else self._value_of_row(row)

    def put(
        self, key: str, kind: str, value: Any, study: str = "", seconds: float | None = None
    ) -> dict[str, Any]:
        """Store a value under a key and return it as it will be read; an equal value is no write.

        `value` is JSON-ready data or a record. Raises StoreError if the key holds another value: a
        key names content, so two contents mean that the store or the key is wrong. A large value is
        stored in parts, the row of its key last.
        """
        return self.put_text(key, kind, (_canonical_text(value),), study, seconds)()

    def hold(self, key: str, value: Any) -> dict[str, Any]:
        """Keep a value under a key until the ledger is closed, and return it; store nothing."""
        self._held[key] = json.loads(_canonical_text(value))
        return self._held[key]

    def put_text(
        self, key: str, kind: str, pieces: Iterable[str], study: str = "",
        seconds: float | None = None,
    ) -> Callable[[], dict[str, Any]]:  # fmt: skip
        """Store a value given as pieces of its canonical JSON; return a function that reads it.

        As `put`; of a large value one part and one piece are in memory at a time.
        """
        stored = self.journal.find("unit", key)
        if stored is not None:
            return self._reader_if_same(stored, "".join(pieces))
        end, names = blobs.in_parts(pieces, lambda name, piece: self._put_part(name, study, piece))
        text = _canonical_text(names) if names[blobs.PARTS_KEY] else end
        entry = self._entry("unit", key, kind, study, None, seconds)._replace(value=text)
        exists, stored = self._insert("put", entry)
        return self._reader_if_same(stored, text) if exists else lambda: self._value_of_row(stored)

    def _reader_if_same(self, stored: Row, text: str) -> Callable[[], dict[str, Any]]:
        """Return a function that reads a stored row; StoreError if its value is not this text."""
        if stored.value != text and _canonical_text(self._value_of_row(stored)) != text:
            raise StoreError(
                "the store was tampered with, or one key was used for two things",
                where=f"{self.journal.shown}, row {stored.seq}, {stored.kind} {stored.name}",
                got=f"{stored.value[:80]} stored, {text[:80]} now",
                fix="remove .tuneworthy and run again; if it comes back, report it as a bug",
            )
        return lambda: self._value_of_row(stored)

    def unit(
        self, key: str, kind: str, make: Callable[[], Any], study: str = "",
        final: Callable[[Any], bool] = lambda made: True,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the stored value of a key, or compute, time and store it.

        A requested stop takes effect before and after, never in between (`StopRequested`). A value
        that is not `final` is held, not stored.
        """
        with self.journal.lock:
            turn = self._making.setdefault(key, threading.RLock())
        with turn:  # two threads that need the same unit compute it once
            if (stored := self.get(key)) is not None:
                return stored
            signals.check()
            began = time.monotonic()
            made = make()
            seconds = time.monotonic() - began
            stored = (
                self.put(key, kind, made, study, seconds) if final(made) else self.hold(key, made)
            )
        signals.check()
        return stored

    def keys(self, study: str, kind: str | None = None) -> list[str]:
        """Return a list of the keys that a study stored first, in order, of one kind or all."""
        rows = self.journal.rows("unit", study)
        return [str(r.name) for r in rows if kind in (None, r.kind) and r.kind != blobs.PART_KEY]

    def seconds(self, key: str) -> float | None:
        """Return the wall seconds that a unit took to compute, None if not measured."""
        row = self.journal.find("unit", key)
        return None if row is None else row.seconds

    # Decisions and openings, recorded once per study.

    def freeze(self, study: str, kind: str, value: Any) -> dict[str, Any]:
        """Store a decision (the plan, the task) and return the stored one: the first write wins."""
        name = _canonical_text([study, kind])
        return _row_object(
            self._insert("freeze", self._entry("frozen", name, kind, study, value))[1]
        )

    def frozen(self, study: str, kind: str) -> dict[str, Any] | None:
        """Return the value frozen for a study, or None."""
        row = self.journal.find("frozen", _canonical_text([study, kind]))
        return None if row is None else _row_object(row)

    def door(self, study: str, door: str, purpose: str) -> None:
        """Log an access to the sealed cases (`door`) and its purpose; each purpose once."""
        value = {"door": door, "purpose": purpose}
        name = _canonical_text([study, door, purpose])
        self._insert("door", self._entry("door", name, door, study, value))

    def doors(self, study: str) -> list[dict[str, Any]]:
        """Return the logged accesses of a study, in order: door, purpose, at (wall time)."""
        return [{**row.content, "at": row.at} for row in self.journal.rows("door", study)]

    def looks(self, study: str, rows: str, marks: Sequence[str] = ()) -> int:
        """Record that a study opens these cases; return its place among those that did (1: first).

        A study counts once. `rows` is the cases' digest, `marks` one per case. First openings fix
        the order, or the time at which a look that was given back was taken after all.
        """
        value = {"rows": rows, "marks": list(marks)}
        own = self._insert(
            "look", self._entry("look", _canonical_text([rows, study]), rows, study, value)
        )[1]
        again = self.journal.find("frozen", _canonical_text([study, RETAKEN_LOOK]))
        before = again.seq if again else None if self.look_released(study) else own.seq
        return len(self._lookers(rows, marks, before) - {study}) + 1

    def looked(self, rows: str, marks: Sequence[str] = ()) -> int:
        """Return how many studies have opened these cases so far, without counting a new one."""
        return len(self._lookers(rows, marks))

    def _lookers(self, rows: str, marks: Sequence[str], before: int | None = None) -> set[str]:
        """Return the studies that opened these rows or 1 in 20 cases, without released looks."""
        studies = set()
        for row in self.journal.rows("look"):
            if before is not None and row.seq >= before:
                break
            opened = row.kind == rows or is_opened(marks, row.content.get("marks", ()))
            if opened and not self.look_released(row.study):
                studies.add(row.study)
        return studies

    def look_released(self, study: str) -> bool:
        """Return whether a study gave its look back, and has not compared arms since."""
        given_back = self.frozen(study, RELEASED_LOOK) is not None
        return given_back and self.frozen(study, RETAKEN_LOOK) is None

    # Events, for the live view.

    def log(self, study: str, kind: str, value: Any) -> int:
        """Append an event and return its number; events may repeat and affect no result."""
        self._check_writable()
        return self.journal.append("log", self._entry("event", None, kind, study, value))[0].seq

    def events(self, study: str, after: int = 0) -> list[dict[str, Any]]:
        """Return a study's events after a number, in order: seq, kind, at and value."""
        rows = self.journal.rows("event", study, after)
        return [{"seq": r.seq, "kind": r.kind, "at": r.at, "value": r.content} for r in rows]

    # Files.

    def folder(self, key: str) -> Path:
        """Return the path blobs/<key>/, created if missing, where a unit's files survive a kill."""
        name = key if _PLAIN_KEY.fullmatch(key) else digest(key)
        path = self.home / _BLOBS_FOLDER / name
        if self._lock is not None:
            with store_errors(path):
                path.mkdir(parents=True, exist_ok=True)
        return path

    def whole(self, key: str) -> Path:
        """Return the path blobs/<key>/ if it was published and is unchanged; else StoreError."""
        return require_whole(self.folder(key))

    # The store itself.

    def verify(self) -> int:
        """Recompute the hash chain; return the row count, raise StoreError if a row was edited."""
        return self.journal.verify()

    def close(self) -> None:
        """Close the ledger and release its lock. Closing twice does nothing."""
        if self._pid != os.getpid() or self.journal.shown not in _open_here:
            return
        self.journal.close()
        _count_close(self.journal.shown)
        self._pid = -1
        if self._lock is not None:
            self._lock.release(clean=not self.journal.failed)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _put_part(self, name: str, study: str, piece: Any) -> None:
        self._insert("put", self._entry("unit", name, blobs.PART_KEY, study, piece))

    def _value_of_row(self, row: Row) -> dict[str, Any]:
        return blobs.joined(_row_object(row), self.get, self.journal.shown)

    def _insert(self, step: str, entry: Entry) -> tuple[bool, Row]:
        """Append a named entry if it is new; return (whether it existed, the stored row)."""
        assert entry.name is not None
        with self.journal.lock:
            if (row := self.journal.find(entry.sort, entry.name)) is not None:
                return True, row
            self._check_writable()
            return False, self.journal.append(step, entry)[0]

    def _entry(
        self, sort: str, name: str | None, kind: str, study: str, value: Any,
        seconds: float | None = None,
    ) -> Entry:  # fmt: skip
        return Entry(sort, name, kind, study, _canonical_text(value), seconds)

    def _check_writable(self) -> None:
        """Raise StoreError in a reader, a closed ledger or a forked child."""
        if self._lock is None or self._pid != os.getpid():
            raise StoreError(
                "this ledger is not open for writing here",
                where=self.journal.shown,
                got="opened for reading" if self._lock is None else "closed, or a forked child",
                fix="send the result to the process that has it open",
            )


def open_ledger(
    folder: Path, *, write: bool = True, say: Callable[[str], None] | None = None
) -> Ledger:
    """Return the ledger of a study folder (with task.yaml); create it if `write` and missing.

    Raises StoreError: another writer, a newer or malformed store, a network, full or read-only
    disk; then nothing is changed except for a quarantine copy of a malformed file. `say` gets
    warnings (default: stderr).
    """
    opened = _open_writer if write else _open_reader
    return opened(database_of(folder), say or _warn_on_stderr)


@contextmanager
def read_ledger(folder: Path) -> Iterator[Ledger | None]:
    """Yield the ledger of a study folder, opened for reading; None if there is none yet.

    Each query is a transaction of its own, so that no reader holds up the writer.
    """
    database = database_of(folder)
    if not database.exists():
        yield None
        return
    with _open_reader(database, _warn_on_stderr) as ledger:
        yield ledger


def _open_writer(database: Database, say: Callable[[str], None]) -> Ledger:
    lock, home = database.acquire(say), database.home
    try:
        _keep_out_of_git(home)
        if not database.exists() and (server := noted_server(home)):
            say(f"this folder's ledger was on {server}, which this release does not read: what it"
                " holds is measured again")  # fmt: skip
        ledger = Ledger(home, open_journal(database, lock, in_use=_is_open(database)), lock)
    except BaseException:
        lock.release(clean=False)
        raise
    if ledger.recovered:
        remove_partial(home / _BLOBS_FOLDER)
        say("the last run here did not end by itself; the store was checked and is whole")
    if (ledger.recovered or ledger.journal.counted() == 0) and (count := restore_replies(ledger)):
        say(f"{count} paid replies that the store lacked were read back from {REPLIES_FILE}")
    return ledger


def _open_reader(database: Database, say: Callable[[str], None]) -> Ledger:
    if (journal := read_journal(database, in_use=_is_open(database))) is None:
        _open_writer(database, say).close()  # an older store, which is migrated first
        journal = read_journal(database, in_use=_is_open(database))
    assert journal is not None
    return Ledger(database.home, journal, None)


def _keep_out_of_git(home: Path) -> None:
    """Write a .gitignore into the folder, so that answers and rows are not committed."""
    ignore = home / ".gitignore"
    with store_errors(home):
        if not ignore.exists():
            ignore.write_text("*\n")


def _is_open(database: Database) -> bool:
    return bool(_open_here.get(database.shown))


def _count_close(shown: str) -> None:
    if left := _open_here.pop(shown, 1) - 1:
        _open_here[shown] = left


def _canonical_text(value: Any) -> str:
    """Return the canonical JSON of a value, in ASCII: text from outside can hold anything."""
    return canonical(value, ascii_only=True)


def _row_object(row: Row) -> dict[str, Any]:
    content: dict[str, Any] = row.content
    return content


def _warn_on_stderr(warning: str) -> None:
    print(f"tuneworthy: {visible(warning)}", file=sys.stderr)
