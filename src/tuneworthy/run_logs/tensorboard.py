"""TensorBoard event files: scalars by tag and step, and the trainer's arguments as text."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from typing import Any

from tuneworthy.core.errors import DataError
from tuneworthy.core.training_log import TrainingLog
from tuneworthy.data.run_folder import KEPT, RunFolder
from tuneworthy.run_logs._tfrecord import first_value, message_fields, records
from tuneworthy.run_logs._values import MOST_STEPS, columns_of, merge_steps, plain_settings, step_of

_MOST_BYTES = 1_000_000_000  # bytes of an event file
_ARGUMENTS_TAG = "args/text_summary"  # where the Trainer's callback writes them
_WHOLE_RUN_PREFIX = "train/train_"  # values of the whole run, logged after the last step


def finds(folder: RunFolder) -> list[str]:
    """Return the event files of a folder."""
    return folder.named("events.out.tfevents.*")


def read(folder: RunFolder, name: str) -> TrainingLog:
    """Return the log of an event file. Raises DataError if it is none."""
    by_step: defaultdict[int, dict[str, float]] = defaultdict(dict)
    settings: dict[str, Any] = {}
    damaged = whole = 0
    try:
        with folder.opened(name, _MOST_BYTES) as file:
            for record in records(file):
                fits = record is not None and _add_event(record, by_step, settings)
                whole += fits
                damaged += not fits
                if len(by_step) > MOST_STEPS:
                    break
    except ValueError as error:
        damaged += 1
        if not whole:
            raise DataError("this is no TensorBoard event file", where=name, got=str(error),
                            fix="copy it again from where the trainer wrote it",
                            kept=KEPT) from error  # fmt: skip
    if damaged and not whole:
        raise DataError("no event of a TensorBoard file can be read", where=name,
                        fix="copy it again from where the trainer wrote it",
                        kept=KEPT)  # fmt: skip
    steps = [step_of(values, at) for at, values in by_step.items()]
    notes = (f"{damaged} damaged records are left out",) if damaged else ()
    return TrainingLog(
        name,
        merge_steps(step for step in steps if step),
        settings,
        columns=columns_of(by_step.values()),
        notes=notes,
    )


def _add_event(
    record: bytes, by_step: defaultdict[int, dict[str, float]], settings: dict[str, Any]
) -> bool:
    """Add an event's scalars and arguments to the dicts; return whether it could be read."""
    try:
        parts = list(message_fields(record))
        step = next((value for number, value in parts if number == 2), 0)
        for number, summary in parts:
            if number != 5 or not isinstance(summary, bytes):
                continue
            for key, value in message_fields(summary):
                if key == 1 and isinstance(value, bytes) and isinstance(step, int):
                    _add_value(value, step, by_step, settings)
    except ValueError:
        return False
    return True


def _add_value(
    value: bytes, step: int, by_step: defaultdict[int, dict[str, float]], settings: dict[str, Any]
) -> None:
    found = dict(message_fields(value))  # of a repeated field the last counts, as protobuf says
    raw = found.get(1)
    tag = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    number, tensor = found.get(2), found.get(8)
    if tag == _ARGUMENTS_TAG and isinstance(tensor, bytes):
        settings |= _parse_arguments(first_value(tensor, 8))
    elif step < 1 << 63 and not tag.startswith(_WHOLE_RUN_PREFIX):
        if isinstance(number, bytes) and len(number) == 4:
            by_step[step][tag] = struct.unpack("<f", number)[0]
        elif isinstance(tensor, bytes) and isinstance(values := first_value(tensor, 5), bytes):
            by_step[step][tag] = struct.unpack("<f", values[:4].ljust(4, b"\0"))[0]


def _parse_arguments(text: int | bytes | None) -> dict[str, Any]:
    try:
        return plain_settings(json.loads(text)) if isinstance(text, bytes) else {}
    except (ValueError, RecursionError):
        return {}
