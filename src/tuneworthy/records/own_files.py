"""The one door for files that a command writes where a file of the user's may stand.

A file is replaced, or appended to, only by one of its own kind: a report by a report, rows by rows.
What stands there is told by its first bytes, never by its name. Files appear whole or not at all.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import IO, Any

from tuneworthy.records.errors import TaskError
from tuneworthy.records.record import plain_file
from tuneworthy.records.task import Task

_HEAD_BYTES = 1 << 20
_TOP_KEY = re.compile(rb"(?m)^([A-Za-z_]+)[ \t]*:")
_ROW_KEYS = {"id", "input", "output", "messages", "accepted", "must_say", "must_not_say", "group",
             "time", "context", "meta"}  # fmt: skip


@dataclass(frozen=True)
class OwnKind:
    """A kind of file that we write: its name in messages, and how its first bytes are known."""

    name: str
    begins: Callable[[bytes], bool]


def _first_object(head: bytes) -> dict[str, Any]:
    """Return the JSON object of the first line, {} if there is none."""
    try:
        found = json.loads(head.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_task(head: bytes) -> bool:
    keys = {found[1].decode() for found in _TOP_KEY.finditer(head)}
    if head.lstrip().startswith(b"{"):
        try:
            keys = set(json.loads(head))
        except (ValueError, RecursionError, TypeError):
            return False
    return bool(keys) and keys <= Task.model_fields.keys()


def _is_row(head: bytes) -> bool:
    row = _first_object(head)
    return row.keys() <= _ROW_KEYS and bool(row.keys() & {"input", "messages"})


def _is_answer(head: bytes) -> bool:
    return "answer" in (row := _first_object(head)) and "time" not in row


def _is_served(head: bytes) -> bool:
    return _first_object(head).keys() >= {"time", "model", "input", "answer", "valid"}


REPORTS = {
    ".html": OwnKind("a report", lambda head: "· tuneworthy</title>".encode() in head),
    ".json": OwnKind("a verdict", lambda head: b'"tuneworthy": "' in head[:200]),
    ".csv": OwnKind("a table of answers", lambda head: head.startswith(b"case,arm,role,seed,fold")),
    ".xml": OwnKind("a JUnit report", lambda head: b'<testsuite name="tuneworthy' in head[:200]),
}
TASK = OwnKind("a task file", _is_task)
TASK_SCHEMA = OwnKind("the schema of a task file", lambda head: b'"tuneworthy task"' in head)
ROWS = OwnKind("rows", _is_row)
ANSWERS = OwnKind("recorded answers", _is_answer)
SERVED_LOG = OwnKind("a log of served answers", _is_served)
ADVICE = OwnKind("recorded advice", lambda head: head.startswith(b'{"adviser":'))


def check_own(
    path: Path, kind: OwnKind, keep: Collection[Path] = (), free: bool = False,
    replaced_by: str = "; --force replaces one that we wrote",
) -> None:  # fmt: skip
    """Raise TaskError if a file of another kind, or one to keep, stands at `path`.

    That is any file with content but one of this kind, and each of `keep`, which the command reads.
    `free`: no file may stand there. A device may: nothing is replaced there. A pipe is an OSError.
    """
    if not os.path.lexists(path) or path.is_char_device() or path.is_dir():
        return  # writing over a folder fails by itself
    if path.exists() and not path.is_file():
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(path))
    if any(one.exists() and path.exists() and path.samefile(one) for one in keep):
        what, got = "this file is read: it can't be written too", "a file that this command reads"
    elif free:
        what, got = "there is a file already", f"a file{replaced_by}"
    else:
        head = plain_file(path, _HEAD_BYTES) if path.exists() else b""  # a link to nothing
        if not head or kind.begins(head):
            return
        what, got = "another file stands there", f"a file that is not {kind.name} of tuneworthy"
    raise TaskError(what, where=str(path), got=got, kept="it, unchanged",
                    fix="name another file, or move this one away")  # fmt: skip


def write_own(
    path: Path, text: str | Iterable[str], kind: OwnKind, keep: Collection[Path] = ()
) -> None:
    """Write a text to a file that is free or of this kind. Raises TaskError, or OSError."""
    check_own(path, kind, keep)
    write_atomic(path, text)


def write_atomic(path: Path, text: str | Iterable[str]) -> None:
    """Replace a file whole, so that it is never half a file; a device is written to directly."""
    if path.is_char_device():
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines([text] if isinstance(text, str) else text)
        return
    draft = draft_of(path)
    try:
        with open_draft(path) as file:
            file.writelines([text] if isinstance(text, str) else text)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def draft_of(path: Path) -> Path:
    """Return the path of the draft that this process writes before it becomes `path`."""
    return path.with_name(f".{path.name[:200]}.{os.getpid()}.part")


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def open_draft(path: Path) -> IO[str]:
    """Return the new, empty draft of a file, open for writing; remove drafts of killed processes.

    A lone surrogate is written as an escape.
    """
    for old in path.parent.glob(f".{escape(path.name[:200])}.*.part"):
        if old == draft_of(path) or not _is_running(old.name.split(".")[-2]):
            old.unlink(missing_ok=True)
    return draft_of(path).open("x", encoding="utf-8", errors="backslashreplace")
