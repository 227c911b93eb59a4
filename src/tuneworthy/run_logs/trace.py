"""The trace.json of our own training, which also holds the loss of every row."""

from __future__ import annotations

from typing import Any

from tuneworthy.core.errors import DataError
from tuneworthy.core.training_log import LogStep, TrainingLog
from tuneworthy.data.run_folder import KEPT, RunFolder
from tuneworthy.run_logs._values import number_of

NAME = "trace.json"


def finds(folder: RunFolder) -> list[str]:
    """Return the traces of a folder."""
    return folder.named(NAME)


def read(folder: RunFolder, name: str) -> TrainingLog:
    """Return the log of a trace. Raises DataError if it has no steps."""
    trace: Any = folder.json(name)
    listed = trace.get("steps") if isinstance(trace, dict) else None
    if not isinstance(listed, list) or not all(isinstance(step, dict) for step in listed):
        raise DataError("a trace.json without its `steps`", where=name,
                        fix="name a folder that `tuneworthy run` trained", kept=KEPT)  # fmt: skip
    steps = [
        LogStep(at, *(number_of(step.get(key)) for key in ("loss", "held", "norm", "rate")))
        for at, step in enumerate(listed, 1)
    ]
    settings: dict[str, Any] = {"trainer": "tuneworthy"}
    if clipped := [step["clipped"] for step in listed if "clipped" in step]:
        settings["clip_rate"] = sum(map(bool, clipped)) / len(clipped)
    for key in ("mask_share", "truncated"):
        if (value := number_of(trace.get(key))) is not None:
            settings[key] = value
    return TrainingLog(name, tuple(steps), settings, _last_losses(trace))


def _last_losses(trace: dict[str, Any]) -> tuple[float, ...]:
    """Return the rows' losses in the last epoch, () if they are not all there."""
    by_row = trace.get("loss_by_row")
    epochs = by_row.get("epochs") if isinstance(by_row, dict) else None
    last = epochs[-1] if isinstance(epochs, list) and epochs else None
    values = [number_of(value) for value in last] if isinstance(last, list) else []
    return tuple(value for value in values if value is not None) if None not in values else ()
