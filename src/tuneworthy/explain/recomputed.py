"""Recompute the evidence of a stored study from its answers, scores and folds. Calls no model.

Optional measurements (curves, harm, knowledge ...) are copied from the stored evidence.
"""

from __future__ import annotations

from tuneworthy.explain.comparison import compare
from tuneworthy.explain.costs import with_costs
from tuneworthy.explain.diagnosis import diagnose_runs, with_minutes, without_unread_causes
from tuneworthy.explain.hard_limits import with_optional_limits
from tuneworthy.explain.label_errors import label_doubts
from tuneworthy.explain.trends import with_fits_and_trends
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.metrics import JUDGE, Metric, metric_name, score_all
from tuneworthy.records.answer import Score, Unscored
from tuneworthy.records.case import right_answers
from tuneworthy.records.errors import TaskError
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.results import Results
from tuneworthy.records.split import Split


def recompute_evidence(results: Results, metric: Metric | None = None) -> Evidence:
    """Return the evidence recomputed from stored runs; further measurements are copied.

    With `metric` the diagnosis is recomputed too if every labelled row was scored; else it is the
    stored one. Raises TaskError if folds or human grades were not stored.
    """
    inputs, stored = inputs_of(results), results.evidence
    split = inputs.split
    compared = compare(inputs, results.cases, results.runs)
    compared = with_fits_and_trends(inputs, results.cases, results.runs, compared)
    compared = with_minutes(compared, results.plan)
    not_recomputed = set(Evidence.model_fields) - compared.model_fields_set
    carried = {field: getattr(stored, field) for field in not_recomputed}
    if metric is not None and stored.diagnosis is not None and all_rows_scored(results, split):
        doubted = label_doubts(results.task, results.cases)
        diagnosis = diagnose_runs(results.task, results.cases, results.runs, metric, split, doubted)
        carried["diagnosis"] = diagnosis and without_unread_causes(diagnosis, results.plan.read)
    evidence = with_costs(compared.model_copy(update=carried), results.task, results.runs)
    return evidence.model_copy(update={"arms": with_optional_limits(results.task, evidence)})


def inputs_of(results: Results) -> ComparisonInputs:
    """Return the comparison's inputs from stored results; raise TaskError if some are missing."""
    split, stored = results.split, results.evidence
    if split is None:
        raise outdated_results_error("don't say which rows were learnt from")
    grades = None
    if metric_name(results.task) == JUDGE:
        if results.grades is None:
            raise outdated_results_error("don't hold the human grades that correct the judge")
        grades = {(grade.case, grade.answer): grade.grade for grade in results.grades}
    plan, spent = results.plan, results.reproduce.get("spent", {})
    return ComparisonInputs(
        task=results.task,
        study=stored.task_hash,
        split=split,
        looks=stored.looks,
        blocks=stored.blocks,
        pool=stored.pool,
        limited=stored.limited,
        grades=grades,
        right=right_answers(results.cases),
        possible_arms=max(plan.possible_arms if plan.staged else 0, spent.get("arms", 0)),
        folds=plan.folds_by_arm if plan.staged else {},
        looked=spent.get("looked", plan.looks_at if plan.staged else {}),
        earlier=spent.get("earlier", ()),
        refits=spent.get("refits", {}),
    )


def outdated_results_error(lack: str, command: str = "run", kept: str = "answers") -> TaskError:
    """Return the error for results that can't be recomputed; `command` writes them anew."""
    return TaskError(
        f"these results {lack}, so they can't be recomputed",
        got="results of an older version",
        fix=f"`tuneworthy {command}` with this version: {kept} in the store are not asked again",
    )


def all_rows_scored(results: Results, split: Split) -> bool:
    """Return whether the scored cases are all labelled rows of the study."""
    scored = {case.id for case in results.cases}
    learnt = {i for part in split.parts for i in (*part.train, *part.dev)}
    return not split.copies and learnt <= scored and len(scored) == results.audit.used


def rescore_stored(results: Results, metric: Metric) -> tuple[int, list[str], list[str]]:
    """Return (number rescored, lines on scores that differ, lines on reasons worded otherwise).

    The last are on answers whose score is the same.
    """
    cases, checked = {case.id: case for case in results.cases}, 0
    wrong: list[str] = []
    reworded: list[str] = []
    for run in results.runs:
        scores = score_all(metric, [cases[a.case] for a in run.answers], run.answers)
        for answer, score, again in zip(run.answers, run.scores, scores, strict=True):
            checked += 1
            place = f"{run.spec.name}, case {answer.case}"
            if again == score:
                continue
            if _without_reason(again) == _without_reason(score):
                reworded.append(f"{place}: the reason of its score has other words")
            else:
                wrong.append(
                    f"{place}: stored {_score_text(score)}, scored again {_score_text(again)}"
                )
    return checked, wrong, reworded


def _without_reason(score: Score | Unscored) -> Score | Unscored:
    return score.model_copy(update={"why" if isinstance(score, Score) else "reason": ""})


def _score_text(score: Score | Unscored) -> str:
    return f"{score.value:g}" if isinstance(score, Score) else "no score"
