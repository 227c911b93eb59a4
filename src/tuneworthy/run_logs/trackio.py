"""Trackio: the SQLite file of a project."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import DataError
from tuneworthy.core.training_log import TrainingLog
from tuneworthy.data.run_folder import KEPT, RunFolder
from tuneworthy.run_logs._values import MOST_STEPS, columns_of, merge_steps, plain_settings, step_of

_MOST_BYTES = 1_000_000_000  # bytes of a database
_MOST_SECONDS = 30.0
_HAS_TABLE_QUERY = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
_NEWEST_RUN_QUERY = "SELECT run_name FROM metrics ORDER BY id DESC LIMIT 1"
_METRICS_QUERY = "SELECT step, metrics FROM metrics WHERE run_name = ? ORDER BY id LIMIT ?"
_CONFIG_QUERY = "SELECT config FROM configs WHERE run_name = ? LIMIT 1"
_COUNT_RUNS_QUERY = "SELECT count(DISTINCT run_name) FROM metrics"


def finds(folder: RunFolder) -> list[str]:
    """Return the databases of a folder."""
    return folder.named("*.db", "*.sqlite", "*.sqlite3")


def read(folder: RunFolder, name: str) -> TrainingLog:
    """Return the log of the newest run in a database. Raises DataError if Trackio wrote none."""
    with tempfile.TemporaryDirectory(prefix="tuneworthy-") as room:
        copy = Path(room) / "log.db"  # a copy: to read a database with a journal writes beside it
        for part in ("", "-wal"):
            if part and not folder.has(name + part):
                continue
            with (
                folder.opened(name + part, _MOST_BYTES) as source,
                open(f"{copy}{part}", "wb") as target,
            ):
                shutil.copyfileobj(source, target)
        try:
            with closing(sqlite3.connect(copy)) as opened:
                return _newest_log(opened, name)
        except (sqlite3.Error, ValueError) as error:
            raise DataError("the Trackio database can't be read", where=name, got=str(error),
                            fix="copy it again while no run writes to it",
                            kept=KEPT) from error  # fmt: skip


def _newest_log(opened: sqlite3.Connection, name: str) -> TrainingLog:
    late = time.monotonic() + _MOST_SECONDS
    opened.set_progress_handler(lambda: time.monotonic() > late, 100_000)
    opened.execute("PRAGMA trusted_schema = OFF")
    if not all(
        opened.execute(_HAS_TABLE_QUERY, (table,)).fetchone()[0] for table in ("metrics", "configs")
    ):
        raise DataError("a database that is not Trackio's", where=name,
                        got="it has no tables `metrics` and `configs`",
                        fix="name the folder of the run's own log", kept=KEPT)  # fmt: skip
    run = opened.execute(_NEWEST_RUN_QUERY).fetchone()
    if run is None:
        return TrainingLog(name, ())
    entries = list(_entries(opened.execute(_METRICS_QUERY, (run[0], MOST_STEPS))))
    steps = merge_steps(step for entry in entries if (step := step_of(entry)))
    config = opened.execute(_CONFIG_QUERY, run).fetchone()
    others = opened.execute(_COUNT_RUNS_QUERY).fetchone()[0] - 1
    notes = (f"the newest run is read; {others} other runs are not",) if others else ()
    settings = plain_settings(_parse_object(config[0])) if config else {}
    return TrainingLog(name, steps, settings, columns=columns_of(entries), notes=notes)


def _entries(rows: Iterator[tuple[Any, Any]]) -> Iterator[dict[str, Any]]:
    for step, metrics in rows:
        fields = _parse_object(metrics)
        # A trainer counts its steps itself; Trackio's own number counts the calls of its `log`.
        yield {"step": step, **fields}


def _parse_object(value: Any) -> dict[str, Any]:
    """Return the object of a JSON value of the database, {} for anything else."""
    if not isinstance(value, str | bytes) or len(value) > 4_000_000:
        return {}
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
