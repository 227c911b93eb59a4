"""The events of one live run: in memory for its readers, and appended to a file as they come.

One thread appends; any number of readers wait on an event of their own loop, so a slow reader
delays nobody. Events are numbered from 1. Knows no HTTP and no training.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.core.escape import visible
from tuneworthy.lab.events import MOST_EVENT_BYTES, Event, event_line
from tuneworthy.lab.lab_folder import private_file, read_file

Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class EventLog:
    """The events of a run as JSON lines. `ended`: the last event is `end`."""

    def __init__(self, path: Path) -> None:
        """Create the empty log of a run; the file `path` may not exist yet."""
        self.path = path
        self.lines: list[str] = []
        self.ended = self.closed = False
        self.unsaved: str | None = None
        self._size = self._saved = 0  # bytes and lines that are on the disk
        self._waiting: list[Waiter] = []
        self._lock = threading.Lock()

    @classmethod
    def read(cls, path: Path) -> EventLog | None:
        """Return the log in a file, without an incomplete last line; None if there is no file."""
        log = cls(path)
        return log if log.refresh() else None

    def refresh(self) -> bool:
        """Read the lines that another process appended; return whether the file can be read."""
        try:
            content = read_file(self.path, MOST_EVENT_BYTES)
        except OSError:
            return False
        if len(content) < self._size:  # the run was begun again
            self.lines, self._size = [], 0
        whole = content.rfind(b"\n") + 1
        for line in content[self._size : whole].splitlines():
            self._add_line(line.decode("utf-8", "replace"))
        self._size, self._saved = max(whole, self._size), len(self.lines)
        return True

    def begin(self) -> None:
        """Empty the log, for a run that begins (again)."""
        self.lines, self._size, self._saved, self.ended = [], 0, 0, False

    def append(self, event: Event) -> None:
        """Append one event, write it to the file, and wake all readers.

        If the disk is full, events stay in memory, one line of the log says so, and each later
        event tries to write all of them.
        """
        with self._lock:
            self._add_line(event_line(event))
            try:
                self._append_to_file()
                self.unsaved = None
            except OSError as error:
                if self.unsaved is None:
                    self.unsaved = os.strerror(error.errno) if error.errno else str(error)
                    self.lines.insert(len(self.lines) - self.ended, _unsaved_line(self.unsaved))
        self._wake_readers()

    def events(self) -> list[Event]:
        """Return all events."""
        return [json.loads(line) for line in self.lines]

    def close(self) -> None:
        """Mark the log as closed and wake all readers, so that they stop: the lab ends."""
        self.closed = True
        self._wake_readers()

    @contextlib.contextmanager
    def waiter(self) -> Iterator[asyncio.Event]:
        """Yield an event of the running loop, which is set after each change."""
        mine = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.append(mine)
        try:
            yield mine[1]
        finally:
            self._waiting.remove(mine)

    def _add_line(self, line: str) -> None:
        try:
            kind = json.loads(line)["kind"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return  # a damaged line of a file
        self.lines.append(line)
        self.ended = kind == "end"

    def _append_to_file(self) -> None:
        text = "".join(line + "\n" for line in self.lines[self._saved :]).encode()
        more = os.O_APPEND if self._size else os.O_TRUNC
        fd = private_file(self.path, more)
        try:
            os.ftruncate(fd, self._size)  # removes a line that a full disk cut
            done = 0
            while done < len(text):
                done += os.write(fd, text[done:])
            if self.ended:
                os.fsync(fd)
        finally:
            os.close(fd)
        self._size, self._saved = self._size + len(text), len(self.lines)

    def _wake_readers(self) -> None:
        for loop, event in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(event.set)


def _unsaved_line(why: str) -> str:
    said = f"The disk refuses the events of this run, they are kept in memory only: {why}"
    return event_line({"kind": "log", "line": visible(said), "state": "unsaved"})
