"""The events of a run: what a record holds and a live run sends.

Kinds: begin, steps (batched), look, end; queue and log in live runs only. A record is the list of
a run's events, one JSON object a line; its id is a digest of all that the run depends on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tuneworthy.core.failure import Config
from tuneworthy.core.record import digest

SCHEMA = 1
Event = dict[str, Any]
Emit = Callable[[Event], None]
SECONDS = 0.25  # between two batches of steps


def run_id(case: str, config: Config, seed: int) -> str:
    """Return the id of a run: the same for the same case, configuration and seed."""
    return digest([SCHEMA, case, dict(sorted(config.items())), seed], 16)


class StepBatches:
    """Sends the records of steps in batches, at most four a second."""

    def __init__(self, emit: Emit, total: int) -> None:
        """Send to `emit`; `total` is the number of steps of the run."""
        self.emit, self.total = emit, total
        self.waiting: list[dict[str, Any]] = []
        self.sent, self.last, self.begun = 0, 0.0, time.perf_counter()

    def add(self, step: dict[str, Any]) -> None:
        """Add one step; send the batch if it is time."""
        self.waiting.append(step)
        if time.perf_counter() - self.last >= SECONDS:
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


def write_record(events: Iterable[Event], path: Path) -> Path:
    """Write a record of a finished run; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    lines = (json.dumps(event, ensure_ascii=False, allow_nan=False) for event in events)
    part.write_text("\n".join(lines) + "\n", "utf-8")
    os.replace(part, path)
    return path


def read_record(path: Path) -> list[Event]:
    """Return the events of a record."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
