"""The events of a run, which a live run sends and a record stores.

Kinds: begin, steps (batched), look, end; queue and log in live runs only. A record is the list of
a run's events as JSON; its id is a digest of case, configuration and seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import math
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tuneworthy.lab.lab_folder import private_file, read_file
from tuneworthy.records.escape import visible
from tuneworthy.records.failure import Config
from tuneworthy.records.record import digest

SCHEMA = 1

Event = dict[str, Any]

Emit = Callable[[Event], None]

RECORDED_KINDS = ("begin", "steps", "look", "end")

_BATCH_SECONDS = 0.25  # seconds between two batches of steps

MOST_EVENT_BYTES = 16 << 20  # the most bytes of an unpacked record; a real one has about 40 kB


def run_id(case: str, config: Config, seed: int, machine: str = "") -> str:
    """Return the id of a run: the same for the same case, configuration and seed.

    `machine` is the kind of processor of a live run; the runs of the package have none.
    """
    kind = [machine] if machine else []
    return digest([SCHEMA, case, dict(sorted(config.items())), seed, *kind], 16)


class StepBatches:
    """Sends the steps of a run as batched events, at most four a second."""

    def __init__(self, emit: Emit, total: int) -> None:
        """Send events to `emit`; `total` is the number of steps of the run."""
        self.emit, self.total = emit, total
        self.waiting: list[dict[str, Any]] = []
        self.sent, self.last, self.begun = 0, 0.0, time.perf_counter()

    def add(self, step: dict[str, Any]) -> None:
        """Add one step; send the batch if the last one is a quarter of a second ago."""
        self.waiting.append(step)
        if time.perf_counter() - self.last >= _BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the steps that wait, with an estimate of the seconds left."""
        if not self.waiting:
            return
        done = self.sent + len(self.waiting)
        each = (time.perf_counter() - self.begun) / done
        self.emit(
            {
                "kind": "steps",
                "from": self.sent + 1,
                "loss": [round(step["loss"], 4) for step in self.waiting],
                "norm": [round(step["norm"], 3) for step in self.waiting],
                "rate": [float(f"{step['rate']:.3g}") for step in self.waiting],
                "clipped": [int(step["clipped"]) for step in self.waiting],
                "left_s": round(each * (self.total - done), 1),
            }
        )
        self.sent, self.waiting, self.last = done, [], time.perf_counter()


class RunStopped(Exception):
    """Raised by a run's `control` callback to stop the run."""


def write_record(events: Iterable[Event], path: Path) -> Path:
    """Write a record, gzipped if `path` ends in .gz; the file appears whole or not at all.

    Equal events give equal bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(list(events), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    content = text.encode()
    part = path.with_suffix(".part")
    part.write_bytes(gzip.compress(content, 9, mtime=0) if path.suffix == ".gz" else content)
    os.replace(part, path)
    return path


def read_record(content: bytes) -> list[Event]:
    """Return the events in a record's bytes. Raises ValueError if they hold no list of events."""
    if content[:2] == b"\x1f\x8b":
        content = _unpack(content)
    events = json.loads(content)
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise ValueError("a record is a list of events")
    return events


def _unpack(content: bytes) -> bytes:
    """Return the content of gzipped bytes. Raises ValueError if it is too large or damaged."""
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(content, MOST_EVENT_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not reader.eof:
        raise ValueError("a record that is cut, or too large")
    return plain


def event_line(event: Event) -> str:
    """Return an event as one line of ASCII JSON; numbers that are not finite become null."""
    try:
        return json.dumps(event, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_null_if_not_finite(event), allow_nan=False, separators=(",", ":"))


def _null_if_not_finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _null_if_not_finite(each) for key, each in value.items()}
    return (
        [_null_if_not_finite(each) for each in value] if isinstance(value, list | tuple) else value
    )


_Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class EventLog:
    """The events of a run as JSON lines. `ended`: the last event is `end`."""

    def __init__(self, path: Path) -> None:
        """Create the empty log of a run; the file `path` may not exist yet."""
        self.path = path
        self.lines: list[str] = []
        self.ended = self.closed = False
        self.unsaved: str | None = None
        self._size = self._saved = 0  # bytes and lines that are on the disk
        self._waiting: list[_Waiter] = []
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
        """Return all events, parsed from the lines."""
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
