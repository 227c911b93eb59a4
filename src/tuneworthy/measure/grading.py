"""Select how answers are graded: the task's metric, or a judge checked by human grades."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuneworthy.explain.metric_ladder import MOST_CASES, blocking_reasons
from tuneworthy.measure.calibration import calibrate
from tuneworthy.measure.judge_metric import judge_metric
from tuneworthy.metrics import JUDGE, fingerprint, metric_name, scorer
from tuneworthy.records.answer import Unscored
from tuneworthy.records.audit_report import Audit
from tuneworthy.records.case import Case
from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Model
from tuneworthy.records.record import digest
from tuneworthy.records.task import Task
from tuneworthy.rows.answers import read_grades

ReplyStore = Callable[[str, Callable[[], Any]], Mapping[str, Any]]
Grades = dict[tuple[str, str], float]


def metric_of(task: Task, models: Mapping[str, Model], store: ReplyStore, salt: str) -> Any:
    """Return the task's metric, a callable of (case, answer): a plug-in, a function or a judge.

    Raises ModelError if the metric is a judge that can't be opened here.
    """
    if metric_name(task) != JUDGE:
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
    """Return the digest of all that decides a score: metric code and options, output, judge."""
    judge = dict(models["judge"].fingerprint) if metric_name(task) == JUDGE else None
    return digest({**fingerprint(task), "output": task.output.plain(), "judge": judge})


def blocks_ahead(task: Task, audit: Audit, cases: Sequence[Case]) -> tuple[str, ...]:
    """Return sentences that forbid a verdict, as far as known before a run; () if none.

    The metric is tried on the right answers of at most MOST_CASES. A judge, the user's own function
    and a metric that runs code are not tried, since they may send data, cost money or take long;
    `run` tries them.
    """
    own_function = not task.success.metrics and task.success.metric is not None
    if own_function or JUDGE in task.success.metrics or task.success.options.get("run"):
        return blocking_reasons(task, audit, (), lambda case, answer: Unscored(reason="not tried"))
    return blocking_reasons(task, audit, cases[:MOST_CASES], scorer(task))


def grades_of(task: Task, cases: Sequence[Case]) -> Grades | None:
    """Return {(case id, answer): human grade} for these cases; None unless a judge scores."""
    if metric_name(task) != JUDGE or task.success.judge is None:
        return None
    scored = {case.id for case in cases}
    grades = read_grades(task.folder / task.success.judge.grades)
    return {key: grade for key, grade in grades.items() if key[0] in scored}


def judge_refusal(
    metric: Any, cases: Sequence[Case], grades: Grades | None, asked: Sequence[str]
) -> tuple[str, ...]:
    """Return (reason why the judge is refused,), or () if it is accepted or there is none."""
    if grades is None:
        return ()
    calibration = calibrate(metric.parts[0], cases, grades, asked)
    return (f"the judge is refused: {calibration.refused}",) if calibration.refused else ()
