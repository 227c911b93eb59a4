"""Check that two studies were scored by the same metric, and say what was not compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuneworthy.core.errors import TaskError
from tuneworthy.core.results import Results
from tuneworthy.core.task import Task
from tuneworthy.metrics import is_own, metric_name

SOURCE = "metric_source"
"""The key of `Results.reproduce` that holds the hash of the user's own metric file."""


@dataclass(frozen=True)
class Scoring:
    """How a study scores: its task, and the hash of the user's own metric file.

    `source` is "" for a built-in metric, and where an earlier release did not store the hash.
    """

    task: Task
    source: str = ""

    @classmethod
    def of(cls, results: Results) -> Scoring:
        """Return how a stored study was scored."""
        return cls(results.task, _source_in(results.reproduce))


def _source_in(reproduce: Mapping[str, Any]) -> str:
    """Return the hash of the own metric file that a study stored; "" if it stored none."""
    return str(reproduce.get(SOURCE, ""))


def check_same_metric(first: Scoring, second: Scoring) -> None:
    """Raise TaskError if metric, its own file, judge, options or passing score differ.

    The file is compared where both studies stored its hash; see `unknown_source`.
    """
    mine, theirs = _compared_parts(first), _compared_parts(second)
    differ = [key for key in mine if mine[key] != theirs[key]]
    if first.source and second.source and first.source != second.source and not differ:
        raise TaskError(
            "the two studies were not scored by the same metric: its file was changed between them",
            where=f"success.metric {metric_name(first.task)}",
            got=f"its SHA-256 is {first.source[:12]} in A, {second.source[:12]} in B",
            fix="score both by one version: undo the change of the file, or run the task of A again"
            " with the changed one; stored answers are not asked again",
            kept="both studies, unchanged",
        )
    if not differ:
        return
    raise TaskError(
        "the two studies were not scored by the same metric, so their scores can't be subtracted",
        where=" and ".join(f"success.{key}" for key in differ),
        got="; ".join(f"{key}: {mine[key]} in A, {theirs[key]} in B" for key in differ),
        fix="run one of them again with the other's `success`: stored answers are not asked again",
        kept="both studies, unchanged",
    )


def unknown_source(first: Scoring, second: Scoring, names: tuple[str, str] = ("A", "B")) -> str:
    """Return a sentence if it is not known whether the own metric file is the same; else ""."""
    name = metric_name(first.task)
    lacking = [key for key, one in zip(names, (first, second), strict=True) if not one.source]
    if not is_own(name) or not lacking:
        return ""
    return (
        f"Whether {name} scored both alike is not known: {' and '.join(lacking)} has no hash of"
        " its file (an earlier release stored none). If it was changed, the differences below are"
        " partly its own."
    )


def other_tasks_line(first: Scoring, second: Scoring) -> str:
    """Return a sentence on tasks that differ, with what is equal in their metrics; else ""."""
    if first.task.hash == second.task.hash:
        return ""
    known = is_own(metric_name(first.task)) and first.source and second.source
    same = "the metric's name, file and options" if known else "the metric's name and options"
    return f"The tasks differ ({same} do not): only cases of both are compared."


def _compared_parts(one: Scoring) -> dict[str, Any]:
    success = one.task.success
    name = metric_name(one.task)
    judge = success.judge.model if success.judge and name == "judge" else None
    return {"metric": name, "judge": judge, "options": success.options,
            "pass_at": success.passes_from}  # fmt: skip
