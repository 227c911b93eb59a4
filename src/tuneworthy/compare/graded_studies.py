"""Correct the difference of two judged studies by the human grades that both hold. Pure."""

from __future__ import annotations

import numpy as np

from tuneworthy.core.answer import Answer, value_or_zero
from tuneworthy.core.case import right_answers
from tuneworthy.core.evidence import Pair
from tuneworthy.core.results import Results
from tuneworthy.matrix.design import Design, Mean
from tuneworthy.matrix.judge_correction import GradedRows
from tuneworthy.metrics import JUDGE, metric_name

Cells = dict[str, tuple[Answer, float]]


def why_uncorrected(first: Results, second: Results) -> str:
    """Return a caution if a judge's differences are not corrected by human grades; else ""."""
    judged = metric_name(first.task) == JUDGE
    if not judged or (first.grades is not None and second.grades is not None):
        return ""
    return (
        "the differences are the judge's own, and it may favour one side: results of an older"
        " version don't hold the human grades that correct it"
    )


def corrected_pair(
    pair: Pair, first: Results, second: Results, ids: list[str], design: Design
) -> Pair:
    """Return the pair (second - first) on these cases, corrected by the studies' human grades.

    It is returned as it is without a judge, and where a study does not hold its grades. What widens
    the pair's bounds beyond those of independent fits widens the corrected ones as much.
    """
    if first.grades is None or second.grades is None:
        return pair
    old, new = _cells(first, pair.versus), _cells(second, pair.arm)
    plain = design.difference({i: new[i][1] - old[i][1] for i in ids}, pair.level)
    wide = max(1.0, (pair.high - pair.low) / (plain.high - plain.low))
    rows = _graded_rows(second, new, ids).minus(_graded_rows(first, old, ids))
    if rows.known is None:
        bound = design.corrected(rows, ids, pair.level, -1.0, None)
    else:
        known = dict(zip(ids, rows.known.tolist(), strict=True))
        bound = Mean(*design.difference(known, pair.level)[:3])
    low, high = (bound.mean + wide * (end - bound.mean) for end in (bound.low, bound.high))
    low, high = max(-1.0, low), min(1.0, high)
    return pair.model_copy(update={"mean": bound.mean, "low": low, "high": high})


def _cells(results: Results, arm: str) -> Cells:
    """Return {case id: (answer, judge's score)} of an arm's best seed."""
    seed = next((one.seed for one in results.evidence.arms if one.name == arm), None)
    cells: Cells = {}
    for run in results.runs:
        if run.state == "measured" and run.spec.name == arm and run.seed == seed:
            pairs = zip(run.answers, run.scores, strict=True)
            cells.update({answer.case: (answer, value_or_zero(score)) for answer, score in pairs})
    return cells


def _graded_rows(results: Results, cells: Cells, ids: list[str]) -> GradedRows:
    grades = {(grade.case, grade.answer): grade.grade for grade in results.grades or ()}
    answers, scores = zip(*(cells[i] for i in ids), strict=True)
    return GradedRows.of(np.array(scores), answers, grades, right_answers(results.cases))
