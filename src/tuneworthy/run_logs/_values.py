"""Read steps from log entries, whose names for the values differ between trainers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tuneworthy.core.training_log import LogStep

MOST_STEPS = 1_000_000
_LOSS_NAMES = ("loss", "train_loss", "training_loss", "train/loss", "train/loss_step")
_HELD_OUT_LOSS_NAMES = (
    "eval_loss",
    "eval/loss",
    "val_loss",
    "valid_loss",
    "validation_loss",
    "val/loss",
)
_GRADIENT_NORM_NAMES = ("grad_norm", "train/grad_norm", "gradient_norm", "norm")
_LEARNING_RATE_NAMES = ("learning_rate", "train/learning_rate", "lr", "rate")
_STEP_NAMES = ("train/global_step", "global_step", "step", "current_steps",
         "iteration", "iter")  # fmt: skip
_NOT_FINITE_TEXTS = {"nan": float("nan"), "infinity": float("inf"), "inf": float("inf"),
               "-infinity": float("-inf"), "-inf": float("-inf")}  # fmt: skip


def step_of(entry: Mapping[str, Any], number: int | None = None) -> LogStep | None:
    """Return a log entry as a LogStep, None if it has no loss.

    `number` is the step's number where the entry names none. A trainer's summary at the end (it has
    a runtime) is no step.
    """
    if any(key.rpartition("/")[2] == "train_runtime" for key in entry):
        return None
    loss, held_out = _first_number(entry, _LOSS_NAMES), _first_number(entry, _HELD_OUT_LOSS_NAMES)
    if loss is None and held_out is None:
        return None
    at = _first_number(entry, _STEP_NAMES)
    whole = number if at is None or at != at or abs(at) > 1e15 else int(at)
    if whole is None or whole < 0:
        return None
    return LogStep(
        whole,
        loss,
        held_out,
        _first_number(entry, _GRADIENT_NORM_NAMES),
        _first_number(entry, _LEARNING_RATE_NAMES),
    )


def merge_steps(steps: Iterable[LogStep]) -> tuple[LogStep, ...]:
    """Return one LogStep per step number, sorted; a later entry overrides an earlier one."""
    found: dict[int, LogStep] = {}
    for step in steps:
        old = found.get(step.step)
        if old is not None:
            parts = {
                name: new if (new := getattr(step, name)) is not None else getattr(old, name)
                for name in ("loss", "held_out", "norm", "rate")
            }
            step = LogStep(step.step, **parts)
        elif len(found) >= MOST_STEPS:
            continue
        found[step.step] = step
    return tuple(found[number] for number in sorted(found))


def number_of(value: Any) -> float | None:
    """Return a logged number, also from text such as NaN or Infinity; None for other values."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str):
        if value.strip().lower() in _NOT_FINITE_TEXTS:
            return _NOT_FINITE_TEXTS[value.strip().lower()]
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
    """Return the settings of an object whose values are text, numbers, booleans or None."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(key): item
        for key, item in value.items()
        if item is None or isinstance(item, str | int | float | bool)
    }


def _first_number(entry: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    for name in names:
        if (value := number_of(entry.get(name))) is not None:
            return value
    return None
