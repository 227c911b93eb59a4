"""Read a file of measured tasks: JSON lines, one task a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf
from pathlib import Path

from pydantic import ValidationError

from tuneworthy.records.errors import DataError
from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.records.record import plain_file
from tuneworthy.report.atlas_file import COUNT_FACTS

MOST_FEATURE = 1e9  # of a feature: a forecast can't be fitted to larger ones


def read_tasks(path: Path) -> list[MeasuredTask]:
    """Return the measured tasks in a file.

    Raises DataError for a file that can't be read, a line that is no measured task, or a key twice.
    """
    tasks: dict[str, MeasuredTask] = {}
    for where, task in _numbered_tasks(path):
        if task.key in tasks:
            raise DataError("two measured tasks have one key", where=where, got=task.key,
                            fix="give each a key of its own", kept="the file")  # fmt: skip
        tasks[task.key] = task
    return list(tasks.values())


def _numbered_tasks(path: Path) -> Iterator[tuple[str, MeasuredTask]]:
    try:
        text = plain_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("the measured tasks can't be read", where=str(path), got=str(error),
                        fix="name a file of JSON lines, one measured task a line",
                        kept="the file") from error  # fmt: skip
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            task = MeasuredTask.model_validate(json.loads(line))
            if fault := impossible_number(task):
                raise ValueError(fault)
            yield where, task
        except (ValueError, RecursionError) as error:
            raise DataError(
                "this line is no measured task", where=where, got=_fault_text(error),
                fix="see bench/atlas/README.md", kept="the file",
            ) from error  # fmt: skip


def impossible_number(task: MeasuredTask) -> str:
    """Return the text on the first impossible number of a measured task; "" if there is none."""
    if not 0 <= task.margin <= 1:
        return f"margin: {task.margin:g} is not between 0 and 1"
    for text, share in (("base", task.base), ("reading", task.reading)):
        if share is not None and not 0 <= share <= 1:
            return f"{text}: {share:g} is not between 0 and 1"
    if task.left is not None and not 0 <= task.left < inf:
        return f"left: {task.left:g} is no distance"
    for name, value in task.features.items():
        least = 0 if name in COUNT_FACTS else -MOST_FEATURE
        if not least <= value <= MOST_FEATURE:
            return f"features.{name}: {value:g} is not between {least:g} and {MOST_FEATURE:g}"
    for arm in (*task.arms, *task.first_look):
        for field, least in (("score", 0), ("behind", -1)):
            each: Interval | None = getattr(arm, field)
            if each is not None and not least <= each.low <= each.mean <= each.high <= 1:
                return f"arms.{arm.name}.{field}: not {least} <= low <= mean <= high <= 1"
        for spent in (arm.seconds, arm.fit_seconds, arm.build_usd, arm.usd_per_1k,
                      arm.tokens_per_request):  # fmt: skip
            if spent is not None and not 0 <= spent < inf:
                return f"arms.{arm.name}: {spent:g} seconds, dollars or tokens"
    return ""


def _fault_text(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
