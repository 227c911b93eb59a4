"""The events of one live run: in memory for all who watch, and appended to a file as they come.

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
from tuneworthy.lab.events import MOST_BYTES, Event, event_line
from tuneworthy.lab.lab_folder import private_file, read_file

Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class EventLog:
    """The events of a run as lines. `ended`: the last of them is the end."""

    def __init__(self, path: Path) -> None:
        """Open the log of a run; `path` may not exist yet."""
        self.path = path
        self.lines: list[str] = []
        self.ended = self.closed = False
        self.unsaved: str | None = None
        self._size = self._saved = 0  # bytes and lines that are on the disk
        self._waiting: list[Waiter] = []
        self._lock = threading.Lock()

    @classmethod
    def read(cls, path: Path) -> EventLog | None:
        """Return the log in a file, without a last line that was cut; None if there is none."""
        log = cls(path)
        return log if log.refresh() else None

    def refresh(self) -> bool:
        """Read what another process has appended; return whether there is such a file."""
        try:
            content = read_file(self.path, MOST_BYTES)
        except OSError:
            return False
        if len(content) < self._size:  # the run was begun again
            self.lines, self._size = [], 0
        whole = content.rfind(b"\n") + 1
        for line in content[self._size : whole].splitlines():
            self._take(line.decode("utf-8", "replace"))
        self._size, self._saved = max(whole, self._size), len(self.lines)
        return True

    def begin(self) -> None:
        """Empty the log, for a run that begins (again)."""
        self.lines, self._size, self._saved, self.ended = [], 0, 0, False

    def append(self, event: Event) -> None:
        """Append one event, tell everybody who waits, and write it to the file.

        Where the disk is full, events stay in memory, one line of the log says so, and each later
        event tries to write them all.
        """
        with self._lock:
            self._take(event_line(event))
            try:
                self._save()
                self.unsaved = None
            except OSError as error:
                if self.unsaved is None:
                    self.unsaved = os.strerror(error.errno) if error.errno else str(error)
                    self.lines.insert(len(self.lines) - self.ended, _unsaved(self.unsaved))
        self._wake()

    def events(self) -> list[Event]:
        """Return all events."""
        return [json.loads(line) for line in self.lines]

    def close(self) -> None:
        """Let everybody who watches go: the lab ends."""
        self.closed = True
        self._wake()

    @contextlib.contextmanager
    def waiter(self) -> Iterator[asyncio.Event]:
        """Yield an event of the running loop, which is set after each change."""
        mine = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.append(mine)
        try:
            yield mine[1]
        finally:
            self._waiting.remove(mine)

    def _take(self, line: str) -> None:
        try:
            kind = json.loads(line)["kind"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return  # a damaged line of a file
        self.lines.append(line)
        self.ended = kind == "end"

    def _save(self) -> None:
        text = "".join(line + "\n" for line in self.lines[self._saved :]).encode()
        more = os.O_APPEND if self._size else os.O_TRUNC
        fd = private_file(self.path, more)
        try:
            os.ftruncate(fd, self._size)  # what was cut by a full disk before
            done = 0
            while done < len(text):
                done += os.write(fd, text[done:])
            if self.ended:
                os.fsync(fd)
        finally:
            os.close(fd)
        self._size, self._saved = self._size + len(text), len(self.lines)

    def _wake(self) -> None:
        for loop, event in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(event.set)


def _unsaved(why: str) -> str:
    said = f"The disk refuses the events of this run, they are kept in memory only: {why}"
    return event_line({"kind": "log", "line": visible(said), "state": "unsaved"})
