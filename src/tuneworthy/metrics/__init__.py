"""One metric a file, per case, 0 to 1. Knows no model and no arm.

A metric defines `score(case, answer, options)`. It may also define

    Options       a Record: what `success.options` may hold for it
    score_all(cases, answers, options)   one score a case, where an answer's worth shows only among
                  the answers of one arm (can its style be told from the right answers?). It sees
                  one arm at a time, so no arm's score depends on another arm; `score` is then what
                  one answer alone is worth.

Names joined by `+` are one metric: a case is worth the least of them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tuneworthy.core import plugins
from tuneworthy.core.errors import TaskError
from tuneworthy.core.record import canonical
from tuneworthy.core.task import Task
from tuneworthy.metrics._scorer import Metric, Scorer, by_set, named, score_all
from tuneworthy.metrics._user import is_own, located, measure
from tuneworthy.metrics._validity import validity

__all__ = ["JUDGE", "Metric", "Scorer", "by_set", "chosen", "fingerprint", "names", "score_all",
           "scorer", "sees_sets"]  # fmt: skip
DEFAULTS = {"json": "fields_f1", "label": "accuracy", "text": "token_f1", "number": "number"}
JUDGE = "judge"


def scorer(task: Task) -> Scorer:
    """Return the task's metric: a function of a case and an answer (see `Scorer`).

    Fills `Score.valid`. An answer that failed, and a metric that crashes, give Unscored with the
    reason. Raises TaskError where the metric does not exist or can't be loaded.
    """
    name = chosen(task)
    parts = [measure(name, task.folder)] if is_own(name) else named(task, names(task))
    return Scorer(tuple(parts), validity(task))


def chosen(task: Task) -> str:
    """Return the name of the task's metric: the one it states, else its output type's."""
    if task.success.metric is not None:
        return task.success.metric
    if task.output.type is None:
        raise TaskError("the task names no metric and no output type", where="success.metric")
    return DEFAULTS[task.output.type]


def names(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics of a task; a function of the user's is one name."""
    return task.success.metrics or (chosen(task),)


def sees_sets(task: Task) -> bool:
    """Say whether the task's metric looks at all answers of an arm together."""
    name = chosen(task)
    if is_own(name) or name == JUDGE:
        return False
    return any(hasattr(plugins.load("metrics", part), "score_all") for part in names(task))


def fingerprint(task: Task) -> dict[str, str]:
    """Return what identifies the scoring: the metric's name, its options and its source's hash."""
    name = chosen(task)
    found = {"metric": name, "source": hashlib.sha256(_source(task)).hexdigest()}
    if task.success.options:
        found["options"] = canonical(task.success.options)
    return found


def _source(task: Task) -> bytes:
    name = chosen(task)
    if is_own(name):
        return located(name, task.folder)[0].read_bytes()
    if name == JUDGE:  # its prompt is part of the key of every request, its model named here
        return canonical(task.success.judge).encode()
    files = [Path(str(plugins.load("metrics", part).__file__)) for part in names(task)]
    here = Path(__file__).parent
    shared = sorted((*here.glob("_*.py"), *here.with_name("sandbox").glob("*.py")))
    return b"\n".join(file.read_bytes() for file in (*files, *shared))
