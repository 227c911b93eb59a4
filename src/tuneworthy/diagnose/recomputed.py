"""The evidence computed again from a stored study: its answers, scores and folds. Asks no model.

What was measured beside the matrix (curves, harm, what is known …) is taken as it was stored.
"""

from __future__ import annotations

from tuneworthy.compare.comparison import compare
from tuneworthy.compare.costs import with_costs
from tuneworthy.compare.hard_limits import all_judged
from tuneworthy.compare.pairs import Shape
from tuneworthy.compare.trends import explained
from tuneworthy.core.answer import Score, Unscored
from tuneworthy.core.errors import TaskError
from tuneworthy.core.evidence import Evidence
from tuneworthy.core.results import Results
from tuneworthy.core.split import Split
from tuneworthy.diagnose.diagnosis import across
from tuneworthy.diagnose.remedies import with_minutes
from tuneworthy.metrics import JUDGE, Metric, chosen, score_all


def evidence_again(results: Results, metric: Metric | None = None) -> Evidence:
    """Return the evidence of the stored runs, computed anew.

    With `metric` the matrix is read across again as well, where every labelled row was scored;
    else the diagnosis is the stored one. Raises TaskError where folds or human grades were not
    stored.
    """
    shape, stored = shape_of(results), results.evidence
    split = shape.split
    again = compare(shape, results.cases, results.runs)
    again = explained(split, results.cases, results.runs, again)
    again = with_minutes(again, results.plan)
    beside = set(Evidence.model_fields) - again.model_fields_set
    carried = {field: getattr(stored, field) for field in beside}
    if metric is not None and stored.diagnosis is not None and whole(results, split):
        carried["diagnosis"] = across(
            results.task, results.cases, results.runs, metric, split, results.cases
        )
    evidence = with_costs(again.model_copy(update=carried), results.task, results.runs)
    return evidence.model_copy(update={"arms": all_judged(results.task, evidence)})


def shape_of(results: Results) -> Shape:
    """Return what the comparison needs besides the runs, as it was stored; TaskError where not."""
    split, stored = results.split, results.evidence
    if split is None:
        raise older("don't say which rows were learnt from")
    grades = None
    if chosen(results.task) == JUDGE:
        if results.grades is None:
            raise older("don't hold the human grades that correct the judge")
        grades = {(one.case, one.answer): one.grade for one in results.grades}
    return Shape(
        task=results.task,
        study=stored.task_hash,
        split=split,
        groups=split.groups,
        looks=stored.looks,
        blocks=stored.blocks,
        pool=stored.pool,
        limited=stored.limited,
        grades=grades,
        possible=results.plan.possible if results.plan.staged else 0,
        looked=results.plan.looks_at if results.plan.staged else {},
    )


def older(lack: str, command: str = "run", kept: str = "answers") -> TaskError:
    """Return the refusal of results that lack what recomputing needs; `command` writes it anew."""
    return TaskError(
        f"these results {lack}, so they can't be recomputed",
        got="results of an older version",
        fix=f"`tuneworthy {command}` with this version: {kept} in the store are not asked again",
    )


def whole(results: Results, split: Split) -> bool:
    """Return whether the scored cases are all the labelled rows that the study had."""
    there = {case.id for case in results.cases}
    learnt = {i for part in split.parts for i in (*part.train, *part.dev)}
    return not split.copies and learnt <= there and len(there) == results.audit.used


def scored_again(results: Results, metric: Metric) -> tuple[int, list[str]]:
    """Return how many answers were scored again, and those whose stored score is another one."""
    cases, checked, wrong = {case.id: case for case in results.cases}, 0, []
    for run in results.runs:
        scores = score_all(metric, [cases[a.case] for a in run.answers], run.answers)
        for answer, score, again in zip(run.answers, run.scores, scores, strict=True):
            checked += 1
            if again != score:
                wrong.append(
                    f"{run.spec.name}, case {answer.case}: stored {_said(score)}, "
                    f"scored again {_said(again)}"
                )
    return checked, wrong


def _said(score: Score | Unscored) -> str:
    return f"{score.value:g}" if isinstance(score, Score) else "no score"
