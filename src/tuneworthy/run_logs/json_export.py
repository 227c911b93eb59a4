"""A log as one JSON value: an array of entries, or the values of one metric as Trackio prints."""

from __future__ import annotations

from typing import Any

from tuneworthy.core.errors import DataError
from tuneworthy.core.training_log import TrainingLog
from tuneworthy.data.run_folder import KEPT, RunFolder
from tuneworthy.run_logs._values import columns_of, merge_steps, plain_settings, step_of

_LIST_KEYS = ("log_history", "history", "logs", "metrics", "values")
_FILE_PATTERNS = ("*log*.json", "*metrics*.json", "*history*.json", "*trackio*.json", "*loss*.json")


def finds(folder: RunFolder) -> list[str]:
    """Return the JSON files with a log's name."""
    return folder.named(*_FILE_PATTERNS)


def read(folder: RunFolder, name: str) -> TrainingLog:
    """Return the log of a JSON file. Raises DataError if it holds no entry with a loss."""
    value = folder.json(name)
    given = value if isinstance(value, dict) else {}
    listed = next((given[key] for key in _LIST_KEYS if isinstance(given.get(key), list)), value)
    entries = [
        _flat_entry(one, given.get("metric"))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict)
    ]
    steps = merge_steps(
        step for number, entry in enumerate(entries, 1) if (step := step_of(entry, number))
    )
    if not steps:
        raise DataError("no entry of this file has a loss", where=name,
                        fix='write [{"step": 1, "loss": 2.1}, …]', kept=KEPT)  # fmt: skip
    settings = plain_settings(given.get("config"))
    return TrainingLog(name, steps, settings, columns=columns_of(entries))


def _flat_entry(one: dict[str, Any], metric: Any) -> dict[str, Any]:
    """Return an entry with its nested metrics on top; `value` also under the metric's name."""
    inner = one.get("metrics")
    entry = {**one, **inner} if isinstance(inner, dict) else one
    return {**entry, str(metric): one.get("value")} if isinstance(metric, str) else entry
