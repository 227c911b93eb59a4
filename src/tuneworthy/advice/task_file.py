"""The file of measured tasks: JSON lines, one task a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tuneworthy.core.errors import DataError
from tuneworthy.core.measured_task import MeasuredTask
from tuneworthy.core.record import plain_file


def read_tasks(path: Path) -> list[MeasuredTask]:
    """Return the measured tasks of a file.

    Raises DataError for a file that can't be read, a line that is no measured task, or a key twice.
    """
    tasks: dict[str, MeasuredTask] = {}
    for where, task in _read(path):
        if task.key in tasks:
            raise DataError("two measured tasks have one key", where=where, got=task.key,
                            fix="give each a key of its own", kept="the file")  # fmt: skip
        tasks[task.key] = task
    return list(tasks.values())


def _read(path: Path) -> Iterator[tuple[str, MeasuredTask]]:
    try:
        text = plain_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("the measured tasks can't be read", where=str(path), got=str(error),
                        fix="name a file of JSON lines, one measured task a line",
                        kept="the file") from error  # fmt: skip
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            yield where, MeasuredTask.model_validate(json.loads(line))
        except (ValueError, ValidationError) as error:
            raise DataError(
                "this line is no measured task", where=where, got=_why(error),
                fix="see docs/how-to/advice.md", kept="the file",
            ) from error  # fmt: skip


def _why(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
