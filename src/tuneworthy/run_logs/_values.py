"""Values of a log entry: trainers differ in the names and write NaN as a number or as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tuneworthy.core.training_log import LogStep

MOST_STEPS = 1_000_000
_LOSS = ("loss", "train_loss", "training_loss", "train/loss", "train/loss_step")
_HELD = ("eval_loss", "eval/loss", "val_loss", "valid_loss", "validation_loss", "val/loss")
_NORM = ("grad_norm", "train/grad_norm", "gradient_norm", "norm")
_RATE = ("learning_rate", "train/learning_rate", "lr", "rate")
_STEP = ("train/global_step", "global_step", "step", "current_steps",
         "iteration", "iter")  # fmt: skip
_NOT_FINITE = {"nan": float("nan"), "infinity": float("inf"), "inf": float("inf"),
               "-infinity": float("-inf"), "-inf": float("-inf")}  # fmt: skip


def step_of(entry: Mapping[str, Any], number: int | None = None) -> LogStep | None:
    """Return the step of a log entry, None if it holds no loss.

    `number` is the step's number where the entry names none. A trainer's summary at the end (it has
    a runtime) is no step.
    """
    if any(key.rpartition("/")[2] == "train_runtime" for key in entry):
        return None
    loss, held = _first(entry, _LOSS), _first(entry, _HELD)
    if loss is None and held is None:
        return None
    at = _first(entry, _STEP)
    whole = number if at is None or at != at or abs(at) > 1e15 else int(at)
    if whole is None or whole < 0:
        return None
    return LogStep(whole, loss, held, _first(entry, _NORM), _first(entry, _RATE))


def joined(steps: Iterable[LogStep]) -> tuple[LogStep, ...]:
    """Return one step a number, in order; a later entry fills in or replaces an earlier one."""
    found: dict[int, LogStep] = {}
    for step in steps:
        old = found.get(step.step)
        if old is not None:
            parts = {
                name: new if (new := getattr(step, name)) is not None else getattr(old, name)
                for name in ("loss", "held", "norm", "rate")
            }
            step = LogStep(step.step, **parts)
        elif len(found) >= MOST_STEPS:
            continue
        found[step.step] = step
    return tuple(found[number] for number in sorted(found))


def number_of(value: Any) -> float | None:
    """Return a logged number, None for anything else; text may say NaN or Infinity."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str):
        if value.strip().lower() in _NOT_FINITE:
            return _NOT_FINITE[value.strip().lower()]
        try:
            return float(value) if len(value) < 40 else None
        except ValueError:
            return None
    return None


def columns_of(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names that log entries have, without a leading `train/`; at most 1,000."""
    names: set[str] = set()
    for entry in entries:
        if len(names) < 1000:
            names.update(str(name).removeprefix("train/") for name in entry)
    return frozenset(names)


def plain_settings(value: Any) -> dict[str, Any]:
    """Return the settings of an object that are plain values."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(key): item
        for key, item in value.items()
        if item is None or isinstance(item, str | int | float | bool)
    }


def _first(entry: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    for name in names:
        if (value := number_of(entry.get(name))) is not None:
            return value
    return None
