"""A plain log of a training loop: JSON Lines, or CSV with a header, with a loss in each line."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tuneworthy.core.errors import DataError
from tuneworthy.core.training_log import LogStep, TrainingLog
from tuneworthy.data.raw import MOST_UNREAD, ReadCount, RowFault
from tuneworthy.data.run_folder import KEPT, RunFolder
from tuneworthy.run_logs._values import MOST_STEPS, columns_of, merge_steps, step_of

_MOST_BYTES = 256_000_000  # bytes of a log
_MOST_LINE_CHARACTERS = 1_000_000
_FILE_PATTERNS = ("*log*.jsonl", "*log*.csv", "*metrics*.jsonl", "*metrics*.csv", "*history*.jsonl",
          "*history*.csv", "*progress*.csv", "*train*state*.jsonl", "*loss*.csv",
          "*loss*.jsonl")  # fmt: skip


def finds(folder: RunFolder) -> list[str]:
    """Return the JSON Lines and CSV files with a log's name."""
    return folder.named(*_FILE_PATTERNS)


def read(folder: RunFolder, name: str) -> TrainingLog:
    """Return the log of a file of lines.

    Raises DataError if no line has a loss, or if more than a hundredth (and more than one) of the
    lines can't be read: the rest may be another curve.
    """
    with folder.opened(name, _MOST_BYTES) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", "replace", newline="")
        entries = _csv_entries(text) if name.endswith(".csv") else _json_entries(text)
        steps: list[LogStep] = []
        columns: set[str] = set()
        number, count = 0, ReadCount()
        for entry in entries:
            number += 1
            if isinstance(entry, RowFault):
                count.add(replace(entry, where=f"{name}:{number}"))
                continue
            count.add()
            if (step := step_of(entry, number)) is not None:
                columns |= columns_of([entry]) if len(columns) < 100 else set()
                steps.append(step)
            if len(steps) >= MOST_STEPS:
                break
    if not steps:
        raise DataError("no line of this log has a loss", where=name, got=f"{number:,} lines",
                        fix='write {"step": 1, "loss": 2.1} a line', kept=KEPT)  # fmt: skip
    count.check(MOST_UNREAD, "")
    notes = (f"{count.lost:,.0f} lines can't be read",) if count.lost else ()
    return TrainingLog(name, merge_steps(steps), columns=frozenset(columns), notes=notes)


def _json_entries(text: io.TextIOWrapper) -> Iterator[dict[str, Any] | RowFault]:
    """Yield the JSON object of each line, a fault for a line without one.

    NaN and infinity are read: trainers write them for a loss that broke.
    """
    while line := text.readline(_MOST_LINE_CHARACTERS):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and isinstance(found.get("metrics"), dict):  # Trackio's inbox
            found = {**found, **found["metrics"]}
        yield found if isinstance(found, dict) else RowFault("", "no JSON object", line[:80])


def _csv_entries(text: io.TextIOWrapper) -> Iterator[dict[str, Any] | RowFault]:
    try:
        for row in csv.DictReader(text):
            yield {str(key).strip(): value for key, value in row.items()}
    except csv.Error as error:
        yield RowFault("", "the table breaks here", str(error), lost=math.inf)
