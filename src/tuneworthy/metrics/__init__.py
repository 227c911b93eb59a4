"""One metric a file, per case, 0 to 1. Knows no model and no arm."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuneworthy.core import plugins
from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.case import Case
from tuneworthy.core.errors import TaskError
from tuneworthy.core.escape import quoted
from tuneworthy.core.task import Task
from tuneworthy.metrics._user import is_own, located, measure
from tuneworthy.metrics._validity import validity

Measure = Callable[[Case, Answer], Score | Unscored]
DEFAULTS = {"json": "fields_f1", "label": "accuracy", "text": "token_f1", "number": "number"}


def scorer(task: Task) -> Measure:
    """Return the task's metric: a function of a case and an answer.

    Fills `Score.valid`. An answer that failed, and a metric that crashes, give Unscored with the
    reason. Raises TaskError where the metric does not exist or can't be loaded.
    """
    rate, valid = _measure(task), validity(task)

    def score(case: Case, answer: Answer) -> Score | Unscored:
        if answer.error is not None:
            return Unscored(reason=f"no answer came back: {quoted(answer.error)}")
        result = rate(case, answer)
        if isinstance(result, Unscored):
            return result
        return result.model_copy(update={"valid": valid(answer)})

    return score


def chosen(task: Task) -> str:
    """Return the name of the task's metric: the one it states, else its output type's."""
    if task.success.metric is not None:
        return task.success.metric
    if task.output.type is None:
        raise TaskError("the task names no metric and no output type", where="success.metric")
    return DEFAULTS[task.output.type]


def fingerprint(task: Task) -> dict[str, str]:
    """Return what identifies the scoring code: the metric's name and the hash of its source."""
    name = chosen(task)
    if is_own(name):
        path = located(name, task.folder)[0]
    else:
        path = Path(str(plugins.load("metrics", name).__file__))
    return {"metric": name, "source": hashlib.sha256(path.read_bytes()).hexdigest()}


def _measure(task: Task) -> Measure:
    name = chosen(task)
    if is_own(name):
        return measure(name, task.folder)
    module = plugins.load("metrics", name)
    options: dict[str, Any] = {
        "type": task.output.type,
        "labels": task.output.labels,
        "schema": task.output.json_schema,
    }

    def rate(case: Case, answer: Answer) -> Score | Unscored:
        try:
            result: Score | Unscored = module.score(case, answer, options)
        except Exception as error:  # a plug-in of another package: one bad answer ends no run
            return Unscored(reason=f"{name} crashed: {type(error).__name__}: {quoted(str(error))}")
        return result

    return rate
