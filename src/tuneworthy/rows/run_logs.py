"""Read the log of a training run: a trainer's state, our own trace, JSON, JSON Lines or CSV.

The names of the values differ between trainers; the forms that are one JSON value are data.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tuneworthy.records.errors import DataError
from tuneworthy.records.run_report import LogStep, TrainingLog
from tuneworthy.rows.bad_rows import MOST_UNREAD, ReadCount, RowFault
from tuneworthy.rows.run_folder import KEPT, RunFolder, checkpoint_of

_MOST_STEPS = 1_000_000
_MOST_BYTES = 256_000_000  # bytes of a log of lines
_MOST_LINE_CHARACTERS = 1_000_000
_STATE = "trainer_state.json"
_STEP_NAMES = ("train/global_step", "global_step", "step", "current_steps", "iteration", "iter")
_VALUE_NAMES = {
    "loss": ("loss", "train_loss", "training_loss", "train/loss", "train/loss_step"),
    "held_out": ("eval_loss", "eval/loss", "val_loss", "valid_loss", "validation_loss", "val/loss",
                 "held"),
    "norm": ("grad_norm", "train/grad_norm", "gradient_norm", "norm"),
    "rate": ("learning_rate", "train/learning_rate", "lr", "rate"),
}  # fmt: skip
_NOT_FINITE_TEXTS = {"nan": math.nan, "infinity": math.inf, "inf": math.inf,
                     "-infinity": -math.inf, "-inf": -math.inf}  # fmt: skip


@dataclass(frozen=True)
class _Form:
    """A form of a log: the names of its files, and for one JSON value where its entries stand.

    `lists` are the keys of the list of entries, [] where the value itself may be the list. Entries
    without a step are `numbered`. `settings` are the keys that are kept, those of an object
    `config` without any. `lacks` and `fix` say what is wrong with a file without entries.
    """

    patterns: tuple[str, ...]
    lists: tuple[str, ...] = ()
    whole: bool = False
    numbered: bool = True
    settings: tuple[str, ...] = ()
    lacks: str = ""
    fix: str = ""


_FORMS = {
    "json_export": _Form(
        ("*log*.json", "*metrics*.json", "*history*.json", "*trackio*.json", "*loss*.json"),
        ("log_history", "history", "logs", "metrics", "values"), whole=True,
        lacks="no entry of this file has a loss", fix='write [{"step": 1, "loss": 2.1}, …]',
    ),
    "lines": _Form(
        ("*log*.jsonl", "*log*.csv", "*metrics*.jsonl", "*metrics*.csv", "*history*.jsonl",
         "*history*.csv", "*progress*.csv", "*train*state*.jsonl", "*loss*.csv", "*loss*.jsonl"),
        lacks="no line of this log has a loss", fix='write {"step": 1, "loss": 2.1} a line',
    ),
    "trace": _Form(
        ("trace.json",), ("steps",), settings=("mask_share", "truncated"),
        lacks="a trace.json without its `steps`",
        fix="name a folder that `tuneworthy run` trained",
    ),
    "trainer_state": _Form(
        (_STATE,), ("log_history",), numbered=False,
        settings=("global_step", "max_steps", "num_train_epochs", "train_batch_size", "epoch",
                  "logging_steps", "eval_steps", "save_steps", "best_model_checkpoint"),
        lacks="a trainer_state.json without its `log_history`",
        fix="name the folder that the trainer itself wrote",
    ),
}  # fmt: skip
LOG_FORMS = tuple(_FORMS)
"""The names of the forms, in the order in which they are tried."""


def find_logs(folder: RunFolder, form: str) -> list[str]:
    """Return a folder's files of a form by name; of checkpoints the newest, which holds all."""
    found = folder.named(*_FORMS[form].patterns)
    newest = max(found, key=lambda name: (checkpoint_of(name), name), default=None)
    return [name for name in found
            if form != "trainer_state" or name == newest or "checkpoint-" not in name]  # fmt: skip


def read_training_log(folder: RunFolder, form: str, name: str) -> TrainingLog:
    """Return the log of a file. Raises DataError for a file that can't be used.

    Of lines at most a hundredth (or one) may be unreadable: the rest may be another curve.
    """
    if form == "lines":
        return _read_lines(folder, name)
    about, value = _FORMS[form], folder.json(name)
    given = value if isinstance(value, dict) else {}
    keyed = (given[key] for key in about.lists if isinstance(given.get(key), list))
    listed = next(keyed, value if about.whole else None)
    entries = [_flattened(one, given.get("metric")) for one in
               (listed if isinstance(listed, list) else ()) if isinstance(one, dict)]  # fmt: skip
    steps = _merged(step for number, entry in enumerate(entries, 1)
                    if (step := _step_of(entry, number if about.numbered else None)))  # fmt: skip
    odd = len(listed) - len(entries) if isinstance(listed, list) else math.inf
    if odd == math.inf or (about.whole and not steps) or (form == "trace" and odd):
        raise DataError(about.lacks, where=name, fix=about.fix, kept=KEPT)
    settings = _plain_settings(given if about.settings else given.get("config"))
    if about.settings:
        settings = {key: one for key, one in settings.items() if key in about.settings}
    if form == "trace":
        return TrainingLog(name, steps, _trace_settings(settings, entries), _last_losses(given))
    notes = (f"{odd} entries of the history are no objects",) if odd and not about.whole else ()
    return TrainingLog(name, steps, settings, columns=_columns_of(entries), notes=notes)


def _flattened(one: dict[str, Any], metric: Any) -> dict[str, Any]:
    """Return an entry with nested metrics on top; `value` under the metric's name too."""
    inner = one.get("metrics")
    entry = {**one, **inner} if isinstance(inner, dict) else one
    return {**entry, str(metric): one.get("value")} if isinstance(metric, str) else entry


def _trace_settings(kept: dict[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    settings = {key: number for key, one in kept.items() if (number := _number_of(one)) is not None}
    if clipped := [step["clipped"] for step in steps if "clipped" in step]:
        settings["clip_rate"] = sum(map(bool, clipped)) / len(clipped)
    return {"trainer": "tuneworthy", **settings}


def _last_losses(trace: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the rows' losses in the last epoch, () if they are not all there."""
    by_row = trace.get("loss_by_row")
    epochs = by_row.get("epochs") if isinstance(by_row, dict) else None
    last = epochs[-1] if isinstance(epochs, list) and epochs else None
    values = [_number_of(value) for value in last] if isinstance(last, list) else []
    return tuple(value for value in values if value is not None) if None not in values else ()


# Lines.


def _read_lines(folder: RunFolder, name: str) -> TrainingLog:
    with folder.opened(name, _MOST_BYTES) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", "replace", newline="")
        steps: list[LogStep] = []
        columns: set[str] = set()
        number, count = 0, ReadCount()
        for entry in _csv_entries(text) if name.endswith(".csv") else _json_entries(text):
            number += 1
            if isinstance(entry, RowFault):
                count.add(replace(entry, where=f"{name}:{number}"))
                continue
            count.add()
            if (step := _step_of(entry, number)) is not None:
                columns |= _columns_of([entry]) if len(columns) < 100 else set()
                steps.append(step)
            if len(steps) >= _MOST_STEPS:
                break
    if not steps:
        about = _FORMS["lines"]
        raise DataError(about.lacks, where=name, got=f"{number:,} lines", fix=about.fix, kept=KEPT)
    count.check(MOST_UNREAD, "")
    notes = (f"{count.lost:,.0f} lines can't be read",) if count.lost else ()
    return TrainingLog(name, _merged(steps), columns=frozenset(columns), notes=notes)


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
        yield (
            _flattened(found, None)
            if isinstance(found, dict)
            else RowFault("", "no JSON object", line[:80])
        )


def _csv_entries(text: io.TextIOWrapper) -> Iterator[dict[str, Any] | RowFault]:
    try:
        for row in csv.DictReader(text):
            yield {str(key).strip(): value for key, value in row.items()}
    except csv.Error as error:
        yield RowFault("", "the table breaks here", str(error), lost=math.inf)


# Values.


def _step_of(entry: Mapping[str, Any], number: int | None) -> LogStep | None:
    """Return a log entry as a LogStep, None if it has no loss.

    `number` is the step's number where the entry names none. A trainer's summary at the end (it has
    a runtime) is no step.
    """
    if any(key.rpartition("/")[2] == "train_runtime" for key in entry):
        return None
    values = {ours: _first_number(entry, names) for ours, names in _VALUE_NAMES.items()}
    at = _first_number(entry, _STEP_NAMES)
    whole = number if at is None or at != at or abs(at) > 1e15 else int(at)
    if whole is None or whole < 0 or values["loss"] is values["held_out"] is None:
        return None
    return LogStep(whole, **values)


def _merged(steps: Iterable[LogStep]) -> tuple[LogStep, ...]:
    """Return one LogStep per step number, sorted; a later entry overrides an earlier one."""
    found: dict[int, LogStep] = {}
    for step in steps:
        if (old := found.get(step.step)) is not None:
            told = {name: value for name in _VALUE_NAMES
                    if (value := getattr(step, name)) is not None}  # fmt: skip
            step = replace(old, **told)
        elif len(found) >= _MOST_STEPS:
            continue
        found[step.step] = step
    return tuple(found[number] for number in sorted(found))


def _first_number(entry: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    numbers = (_number_of(entry.get(name)) for name in names)
    return next((number for number in numbers if number is not None), None)


def _number_of(value: Any) -> float | None:
    """Return a logged number, also from text such as NaN or Infinity; None for other values."""
    if isinstance(value, str) and (name := value.strip().lower()) in _NOT_FINITE_TEXTS:
        return _NOT_FINITE_TEXTS[name]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value) if not isinstance(value, str) or len(value) < 40 else None
    except (ValueError, OverflowError):
        return None


def _columns_of(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names that log entries have, without a leading `train/`; at most 1,000."""
    names: set[str] = set()
    for entry in entries:
        if len(names) < 1000:
            names.update(str(name).removeprefix("train/") for name in entry)
    return frozenset(names)


def _plain_settings(value: Any) -> dict[str, Any]:
    """Return the settings of an object whose values are text, numbers, booleans or None."""
    return {
        str(key): item
        for key, item in (value.items() if isinstance(value, Mapping) else ())
        if item is None or isinstance(item, str | int | float | bool)
    }
