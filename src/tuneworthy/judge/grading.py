"""How answers are graded: the task's metric, or a judge that human grades keep in check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuneworthy.compare.judge_correction import completed
from tuneworthy.core.answer import Unscored
from tuneworthy.core.audit_report import Audit
from tuneworthy.core.case import Case
from tuneworthy.core.errors import ModelError
from tuneworthy.core.model import Model
from tuneworthy.core.record import digest
from tuneworthy.core.task import Task
from tuneworthy.data.grades import read_grades
from tuneworthy.diagnose.blocks import blocks
from tuneworthy.diagnose.metric_ladder import MOST
from tuneworthy.judge.calibration import calibrate
from tuneworthy.judge.judge_metric import judge_metric
from tuneworthy.metrics import JUDGE, chosen, fingerprint, scorer

Store = Callable[[str, Callable[[], Any]], Mapping[str, Any]]
Grades = dict[tuple[str, str], float]


def metric_of(task: Task, models: Mapping[str, Model], store: Store, salt: str) -> Any:
    """Return the task's metric: (case, answer) -> Score | Unscored.

    Raises ModelError where a judge is asked for that can't be opened here.
    """
    if chosen(task) != JUDGE:
        return scorer(task)
    if "judge" not in models:
        raise ModelError(
            "the judge can't be asked here",
            where="task.yaml success.judge.model",
            got=task.success.judge.model if task.success.judge else "no judge",
            fix="name a model that can be opened, or another metric",
        )
    return judge_metric(task, models["judge"], store, salt)


def metric_digest(task: Task, models: Mapping[str, Model]) -> str:
    """Return what scores depend on: the metric's code and options, the output, and the judge."""
    judge = dict(models["judge"].fingerprint) if chosen(task) == JUDGE else None
    return digest({**fingerprint(task), "output": task.output.plain(), "judge": judge})


def blocks_ahead(task: Task, audit: Audit, cases: Sequence[Case]) -> tuple[str, ...]:
    """Return what blocks a verdict and is cheap to know before a run.

    The metric is tried on right answers of at most MOST cases. A judge, a function of the user's
    own and a metric that runs code are not: they may send, cost or take long; `run` tries them.
    """
    dear = not task.success.metrics and task.success.metric is not None
    if dear or JUDGE in task.success.metrics or task.success.options.get("run"):
        return blocks(task, audit, (), lambda case, answer: Unscored(reason="not tried"))
    return blocks(task, audit, cases[:MOST], scorer(task))


def grades_of(task: Task, cases: Sequence[Case]) -> Grades | None:
    """Return what humans gave to answers of these cases, None where no judge grades."""
    if chosen(task) != JUDGE or task.success.judge is None:
        return None
    return completed(read_grades(task.folder / task.success.judge.grades), cases)


def refusal(
    metric: Any, cases: Sequence[Case], grades: Grades | None, asked: Sequence[str]
) -> tuple[str, ...]:
    """Return why the judge does not count; empty where it does or none was asked."""
    if grades is None:
        return ()
    found = calibrate(metric.parts[0], cases, grades, asked)
    return (f"the judge is refused: {found.refused}",) if found.refused else ()
