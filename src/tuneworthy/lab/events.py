"""The events of a run, which a live run sends and a record stores.

Kinds: begin, steps (batched), look, end; queue and log in live runs only. A record is the list of
a run's events as JSON; its id is a digest of case, configuration and seed.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tuneworthy.core.failure import Config
from tuneworthy.core.record import digest

SCHEMA = 1
Event = dict[str, Any]
Emit = Callable[[Event], None]
RECORDED_KINDS = ("begin", "steps", "look", "end")
BATCH_SECONDS = 0.25  # seconds between two batches of steps
MOST_EVENT_BYTES = 16 << 20  # the most bytes of an unpacked record; a real one has about 40 kB


def run_id(case: str, config: Config, seed: int) -> str:
    """Return the id of a run: the same for the same case, configuration and seed."""
    return digest([SCHEMA, case, dict(sorted(config.items())), seed], 16)


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
        if time.perf_counter() - self.last >= BATCH_SECONDS:
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
