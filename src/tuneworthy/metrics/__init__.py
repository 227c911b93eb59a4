"""The metrics, one a module: each scores an answer to a case from 0 to 1. Knows no model or arm.

A metric defines `score(case, answer, options)`. It may also define

    TYPE          the output type of a task that names this metric and no type: json, label, number
                  or text; without it the rows decide
    BINARY        True: every score is 0 or 1, so a case passes at 1
    Options       a Record: the keys of `success.options` that it reads
    score_all(cases, answers, options)   one score per case, for a metric that compares all answers
                  of one arm (a style classifier, for instance). It gets one arm at a time, so no
                  arm's score depends on another arm; `score` then scores one answer alone.

Names joined by `+` form one metric: a case's score is the lowest of their scores.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tuneworthy.metrics._scorer import Metric, Scorer, by_set, load_metrics, score_all
from tuneworthy.metrics._user import is_own, load_user_metric, locate_function
from tuneworthy.metrics._validity import validity
from tuneworthy.records import plugins
from tuneworthy.records.code import code_digest
from tuneworthy.records.errors import TaskError
from tuneworthy.records.record import canonical
from tuneworthy.records.task import Task

__all__ = [
    "JUDGE",
    "Metric",
    "Scorer",
    "by_set",
    "fingerprint",
    "is_own",
    "metric_name",
    "names",
    "own_source",
    "score_all",
    "scorer",
    "scores_by_set",
]  # fmt: skip
DEFAULTS = {"json": "fields_f1", "label": "accuracy", "text": "token_f1", "number": "number"}
JUDGE = "judge"


def scorer(task: Task) -> Scorer:
    """Return the task's metric as a callable of (case, answer); see `Scorer`.

    It sets `Score.valid`. A failed answer and a crash of the metric give Unscored with the reason.
    Raises TaskError if the metric does not exist or can't be loaded.
    """
    name = metric_name(task)
    parts = (
        [load_user_metric(name, task.folder)] if is_own(name) else load_metrics(task, names(task))
    )
    return Scorer(tuple(parts), validity(task))


def metric_name(task: Task) -> str:
    """Return the name of the task's metric, or the default one of its output type."""
    if task.success.metric is not None:
        return task.success.metric
    if task.output.type is None:
        raise TaskError("the task names no metric and no output type", where="success.metric")
    return DEFAULTS[task.output.type]


def names(task: Task) -> tuple[str, ...]:
    """Return the names of the task's metrics; a user's function counts as one name."""
    return task.success.metrics or (metric_name(task),)


def scores_by_set(task: Task) -> bool:
    """Return whether the task's metric scores all answers of an arm together."""
    name = metric_name(task)
    if is_own(name) or name == JUDGE:
        return False
    return any(hasattr(plugins.load("metrics", part), "score_all") for part in names(task))


def fingerprint(task: Task) -> dict[str, str]:
    """Return a dict that identifies the scoring: metric's name, options, hash of its sources.

    Comments and docstrings of this package are not part of it: an upgrade that edits them would
    make each finished study another one, and its next run a further look at the rows.
    """
    identity = {"metric": metric_name(task), "source": _source_hash(task)}
    if task.success.options:
        identity["options"] = canonical(task.success.options)
    return identity


def own_source(task: Task) -> str:
    """Return the hash of the file of the user's own metric; "" for a built-in metric or a judge."""
    return fingerprint(task)["source"] if is_own(metric_name(task)) else ""


def _source_hash(task: Task) -> str:
    name = metric_name(task)
    if is_own(name):
        return hashlib.sha256(locate_function(name, task.folder)[0].read_bytes()).hexdigest()
    if name == JUDGE:  # success.judge names its model; request keys cover its prompt
        return hashlib.sha256(canonical(task.success.judge).encode()).hexdigest()
    files = [Path(str(plugins.load("metrics", part).__file__)) for part in names(task)]
    here = Path(__file__).parent
    shared = sorted((*here.glob("_*.py"), *here.with_name("sandbox").glob("*.py")))
    return code_digest((*files, *shared))
