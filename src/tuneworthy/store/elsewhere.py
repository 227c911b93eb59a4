"""Count looks: which cases this user's studies opened, over all folders, in looks.jsonl.

`$XDG_STATE_HOME/tuneworthy/looks.jsonl` (else `~/.local/state/tuneworthy/`) is append-only, one
line per study: its hash, the digest of its scored rows, one mark per case.
`TUNEWORTHY_LOOKS=folder` switches it off. It never stops a run: its faults are reported, and looks
are then counted per folder.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuneworthy.records.run import LookScope
from tuneworthy.store.store import RELEASED_LOOK, RETAKEN_LOOK, Ledger, is_opened

LOOKS_VARIABLE, FOLDER_ONLY = "TUNEWORTHY_LOOKS", "folder"
LOOKS_FILE, FROZEN_LOOKS, SHOWN = "looks.jsonl", "looks elsewhere", "answers shown"
LOCK_WAIT_SECONDS = 2.0  # seconds to wait for another writer's lock


@dataclass(frozen=True)
class LookCount:
    """The ordinal of this look at some cases, and which studies it counts (`scope`).

    `trouble` is a sentence for the user on what could not be counted, "" without any. `earlier` has
    (look, rows) of each look that showed a part of the same answers; `arms` is how many arms the
    look compared if an earlier study took it, else 0.
    """

    look: int
    scope: LookScope
    trouble: str = ""
    earlier: tuple[tuple[int, float], ...] = ()
    arms: int = 0


@dataclass(frozen=True)
class ShownLook:
    """A look that a study took and the answers that it showed: a digest of each arm's.

    `marks` has one digest per case, `rows` that of all cases.
    """

    study: str
    rows: str
    marks: frozenset[str]
    look: int
    arms: tuple[str, ...]
    earlier: tuple[tuple[int, float], ...] = ()


def record_look(ledger: Ledger, study: str, rows: str, marks: Sequence[str]) -> LookCount:
    """Record in folder and user file that a study opens cases; return its look number and scope.

    A study counts once, in whatever folder it runs or runs again. The looks of other folders are
    frozen in the ledger when the study first opens the cases, so that a resumed study gets the
    same.
    """
    own = ledger.looks(study, rows, marks)
    earlier = _EarlierStudies(*_earlier_studies(rows, marks, study))
    value = {
        "studies": sorted(earlier.studies - _studies_of_ledger(ledger) - {study}),
        "scope": earlier.scope,
    }
    kept = ledger.freeze(study, FROZEN_LOOKS, value)
    count = LookCount(own + len(kept["studies"]), kept["scope"], earlier.trouble)
    if not (parts := shown_parts(ledger, study)):
        return count
    last = _shown_look(study, rows, marks, parts[-1])  # known since the study showed its answers
    return replace(count, look=last.look, earlier=last.earlier, arms=parts[-1]["paid"])


def next_look(ledger: Ledger | None, study: str, rows: str, marks: Sequence[str]) -> LookCount:
    """Return the look that a study would get, without recording one; `ledger` None: none yet."""
    earlier = _EarlierStudies(*_earlier_studies(rows, marks))
    here = _studies_of_ledger(ledger) if ledger else set()
    own = ledger.looked(rows, marks) if ledger else 0
    return LookCount(
        own + len(earlier.studies - here - {study}) + 1, earlier.scope, earlier.trouble
    )


def release_look(ledger: Ledger, study: str, rows: str) -> None:
    """Take a study's look off the count, in its folder and user file: it compared nothing."""
    ledger.freeze(study, RELEASED_LOOK, {"rows": rows})
    _note_in_file({"study": study, "rows": rows, "marks": [], "released": True})


def retake_look(ledger: Ledger, study: str, rows: str) -> None:
    """Count a study's look again that `release_look` took off: run once more, it compared arms."""
    if ledger.look_released(study):
        ledger.freeze(study, RETAKEN_LOOK, {"rows": rows})
        _note_in_file({"study": study, "rows": rows, "marks": []})  # its first entry has the marks


def note_shown(
    ledger: Ledger, shown: ShownLook, folds: dict[str, int], of_other: ShownLook | None = None
) -> None:
    """Keep which answers a study showed, in its folder and for the user; no repetition is kept.

    `folds` are the numbers of folds on which its arms were measured. `of_other` is the earlier
    study that showed the same answers: its look is this study's too.
    """
    taken = of_other or shown
    value = {"look": taken.look, "earlier": [list(pair) for pair in taken.earlier],
             "arms": list(shown.arms), "paid": len(of_other.arms) if of_other else 0,
             "folds": folds}  # fmt: skip
    kept = shown_parts(ledger, shown.study)
    if kept and kept[-1] == value:
        return
    ledger.freeze(shown.study, f"{SHOWN} {len(kept)}", value)
    _note_in_file({"study": shown.study, "rows": shown.rows, "marks": [], "shown": value,
                   "released": of_other is not None})  # fmt: skip


def shown_looks(ledger: Ledger, study: str) -> list[ShownLook]:
    """Return the looks of other studies, of this folder and this user, and what they showed.

    Studies of an older version, and those that gave their look back, are left out.
    """
    found: dict[str, ShownLook] = {}
    if os.environ.get(LOOKS_VARIABLE, "") != FOLDER_ONLY:
        with (
            suppress(OSError, RuntimeError),
            _locked_file(_state_folder() / LOOKS_FILE, write=False) as fd,
        ):
            lines = [] if fd is None else _entries_of_file(_read_all(fd))[0]
            marks: dict[str, list[str]] = {}
            for line in lines:  # a study's last entry counts, its first one has the marks
                name = line["study"]
                marks.setdefault(name, []).extend(line["marks"])
                found.pop(name, None)
                if line.get("shown") and not line.get("released"):
                    with suppress(KeyError, TypeError, ValueError):
                        found[name] = _shown_look(name, line["rows"], marks[name], line["shown"])
    for row in ledger.journal.rows("look"):
        found.pop(row.study, None)
        parts = [] if ledger.look_released(row.study) else shown_parts(ledger, row.study)
        if parts:
            marks_here = row.content.get("marks", ())
            found[row.study] = _shown_look(row.study, row.kind, marks_here, parts[-1])
    found.pop(study, None)
    return sorted(found.values(), key=lambda one: one.look)


def _shown_look(study: str, rows: str, marks: Sequence[str], value: dict[str, Any]) -> ShownLook:
    earlier = tuple((int(look), float(seen)) for look, seen in value["earlier"])
    return ShownLook(study, rows, frozenset(marks), int(value["look"]), tuple(value["arms"]),
                     earlier)  # fmt: skip


def shown_parts(ledger: Ledger, study: str) -> list[dict[str, Any]]:
    """Return the values that `note_shown` kept of a study, oldest first; [] if none."""
    parts: list[dict[str, Any]] = []
    while (shown := ledger.frozen(study, f"{SHOWN} {len(parts)}")) is not None:
        parts.append(shown)
    return parts


def _note_in_file(entry: dict[str, Any]) -> None:
    if os.environ.get(LOOKS_VARIABLE, "") == FOLDER_ONLY:
        return
    with (
        suppress(OSError, RuntimeError),
        _locked_file(_state_folder() / LOOKS_FILE, write=True) as fd,
    ):
        if fd is not None:
            _append_entry(fd, _read_all(fd), entry)


@dataclass(frozen=True)
class _EarlierStudies:
    studies: set[str]
    scope: LookScope
    trouble: str


def _studies_of_ledger(ledger: Ledger) -> set[str]:
    """Return the names of the studies whose looks the ledger itself counts."""
    return {row.study for row in ledger.journal.rows("look")}


def _earlier_studies(
    rows: str, marks: Sequence[str], study: str | None = None
) -> tuple[set[str], LookScope, str]:
    """Return (earlier studies of these cases, scope, trouble); append `study` to the file."""
    if os.environ.get(LOOKS_VARIABLE, "") == FOLDER_ONLY:
        return set(), "folder", ""
    try:
        with _locked_file(_state_folder() / LOOKS_FILE, write=study is not None) as fd:
            text = b"" if fd is None else _read_all(fd)
            lines, bad = _entries_of_file(text)
            studies = set(_studies_of_rows(lines, rows, marks, study))
            there = any(line["study"] == study and line["rows"] == rows for line in lines)
            if fd is not None and study is not None and not there:
                _append_entry(fd, text, {"study": study, "rows": rows, "marks": list(marks)})
    except (OSError, RuntimeError) as error:  # no home folder is a RuntimeError
        why = getattr(error, "strerror", None) or str(error)
        return (
            set(),
            "folder",
            f"looks are counted in this folder only: {why} ({_file_for_messages()})",
        )
    trouble = (
        f"{bad} lines of {_file_for_messages()} can't be read: the studies they name are not"
        " counted"
    )
    return studies, "user", trouble if bad else ""


def _studies_of_rows(
    lines: Sequence[dict[str, Any]], rows: str, marks: Sequence[str], study: str | None
) -> Iterator[str]:
    """Yield names of studies that opened the rows, or 1 in 20 cases, before `study` did."""
    released = {line["study"]: bool(line.get("released")) for line in lines}  # by its last entry
    for line in lines:
        if line["study"] == study and line["rows"] == rows:
            return
        if released[line["study"]]:
            continue
        if line["rows"] == rows or is_opened(marks, line["marks"]):
            yield line["study"]


def _entries_of_file(text: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return (entries of a file, number of its invalid lines, which a killed writer leaves)."""
    entries, bad = [], 0
    for line in text.split(b"\n"):
        try:
            entry = json.loads(line) if line.strip() else None
        except ValueError:
            entry = {}
        if entry is None:
            continue
        kinds = (("study", str), ("rows", str), ("marks", list))
        good = isinstance(entry, dict) and all(isinstance(entry.get(k), t) for k, t in kinds)
        entries += [entry] if good else []
        bad += not good
    return entries, bad


def _state_folder() -> Path:
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".local" / "state") / "tuneworthy"


def _file_for_messages() -> str:
    try:
        return str(_state_folder() / LOOKS_FILE)
    except RuntimeError:
        return LOOKS_FILE


@contextmanager
def _locked_file(path: Path, *, write: bool) -> Iterator[int | None]:
    """Yield the descriptor of the open, locked file; None if there is no file to read."""
    if write:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except FileNotFoundError:
        if write:
            raise
        yield None
        return
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "no plain file", str(path))
        _wait_for_lock(fd, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
        yield fd
    finally:
        os.close(fd)


def _wait_for_lock(fd: int, kind: int) -> None:
    end = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _read_all(fd: int) -> bytes:
    parts, at = [], 0
    while part := os.pread(fd, 1 << 20, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _append_entry(fd: int, text: bytes, entry: dict[str, Any]) -> None:
    line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
    left = line if not text or text.endswith(b"\n") else b"\n" + line  # after a torn line
    while left:
        left = left[os.write(fd, left) :]
    os.fsync(fd)
