"""Compare two studies arm by arm on the cases they share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import hypot
from typing import Any

import numpy as np

from tuneworthy.matrix.columns import by_spec, column
from tuneworthy.matrix.design import Design, Difference, Fit, Mean, Values
from tuneworthy.matrix.judge_correction import GradedRows
from tuneworthy.metrics import JUDGE, is_own, metric_name
from tuneworthy.records.answer import Answer, lacks_score, value_or_zero
from tuneworthy.records.case import right_answers
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.evidence import Pair
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.results import Results
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Task
from tuneworthy.records.verdict import Verdict
from tuneworthy.rows.copies import full_text, normalised_text


def compare_studies(first: Results, second: Results) -> list[Pair]:
    """Return pairs (second study - first) of arms of equal name and of the two arms named.

    Only cases that both answered count; bounds are two-sided at 95 % (each side at 2.5 %), wider
    for arms that were fitted in folds, as within a study. Human grades correct a judge
    (`corrected_pair`). Raises TaskError if the studies used different metrics, and DataError if
    most shared ids have different inputs (see `ids_with_other_inputs`).
    """
    check_same_metric(Scoring.of(first), Scoring.of(second))
    apart, both = ids_with_other_inputs(first, second)
    if 2 * len(apart) > both:
        raise DataError(
            "the ids that both studies have name other rows",
            where=", ".join(sorted(apart)[:3]),
            got=f"{both - len(apart):,} of {both:,} shared ids have one input, {len(apart):,} have"
            " two",
            fix="compare studies of the same rows, or give rows ids of their own",
            kept="both studies, unchanged",
        )
    old, new = _scores_by_arm(first, apart), _scores_by_arm(second, apart)
    names = sorted(set(old) & set(new))
    wanted = [(name, name) for name in names]
    named = (first.verdict.arm or "", second.verdict.arm or "")
    if named[0] in old and named[1] in new and named[0] != named[1]:
        wanted.insert(0, named)
    design = _shared_design(first, second)
    before, after = fitted_arms(first), fitted_arms(second)
    found = []
    for pair_names in wanted:
        own, versus = new[pair_names[1]], old[pair_names[0]]
        diffs = {i: own[i] - versus[i] for i in sorted(set(own) & set(versus))}
        if diffs:
            fits = before.get(pair_names[0]), after.get(pair_names[1])
            pair = _bounded_pair(pair_names, design, diffs, fits)
            found.append(corrected_pair(pair, first, second, [*diffs], design))
    return found


def ids_with_other_inputs(first: Results, second: Results) -> tuple[frozenset[str], int]:
    """Return (ids in both studies whose inputs differ, number of ids in both studies).

    Such cases are different rows; `compare_studies` leaves them out.
    """
    first_keys, second_keys = (
        {c.id: normalised_text(full_text(c)) for c in r.cases} for r in (first, second)
    )
    shared_ids = set(first_keys) & set(second_keys)
    return frozenset(i for i in shared_ids if first_keys[i] != second_keys[i]), len(shared_ids)


@dataclass(frozen=True)
class Repetition:
    """The verdicts of a study and of the one that it repeats, and the pairs (now - before).

    `pairs` are those of `compare_studies`. `left_out` counts shared ids with other inputs;
    `because` says why nothing could be paired, although the metric is the same. `caution` says if
    it is not known whether the user's own metric file is the same.
    """

    before: Verdict
    now: Verdict
    pairs: tuple[Pair, ...]
    left_out: int = 0
    because: str = ""
    caution: str = ""

    @property
    def changed(self) -> bool:
        """Return whether another arm is named than before, or one instead of none."""
        return (self.before.use, self.before.arm) != (self.now.use, self.now.arm)


def compare_repetition(before: Results, now: Results) -> Repetition:
    """Return both verdicts and the paired differences of a study from the one it repeats."""
    apart, _ = ids_with_other_inputs(before, now)
    caution = unknown_source(Scoring.of(before), Scoring.of(now), ("before", "now"))
    try:
        pairs = tuple(compare_studies(before, now))
    except DataError as error:  # the new verdict is kept although nothing can be paired
        return Repetition(before.verdict, now.verdict, (), len(apart), error.what, caution)
    why = "" if pairs else "no case was answered in both studies"
    return Repetition(before.verdict, now.verdict, pairs, len(apart), why, caution)


def _scores_by_arm(results: Results, without: frozenset[str]) -> dict[str, dict[str, float]]:
    """Return {arm: {case id: score}} of each arm's best seed.

    A failed answer counts 0; a case that the metric gave no score is left out.
    """
    table: dict[str, dict[str, float]] = {}
    best = {arm.name: arm.seed for arm in results.evidence.arms}
    for run in results.runs:
        if run.state == "measured" and run.seed == best.get(run.spec.name):
            pairs = zip(run.answers, run.scores, strict=True)
            own = {a.case: value_or_zero(s) for a, s in pairs
                   if a.case not in without and not lacks_score(a, s)}  # fmt: skip
            table.setdefault(run.spec.name, {}).update(own)
    return table


def _shared_design(first: Results, second: Results) -> Design:
    """Return the design of both studies' rows: groups of either, the larger group size."""
    both = (first, second)
    own, other = (Design.of(one.task, one.split) for one in both)
    return Design(
        {**own.group, **other.group},
        max(own.largest, other.largest),
        own.copies and other.copies,
    )


def _bounded_pair(
    names: tuple[str, str], design: Design, diffs: Values, fits: tuple[Fit | None, Fit | None]
) -> Pair:
    bound, factor = refitted_difference(design, diffs, ALPHA / 2, fits)
    return Pair(
        arm=names[1],
        versus=names[0],
        n=bound.n,
        mean=bound.mean,
        low=bound.low,
        high=bound.high,
        level=ALPHA / 2,
        factor=round(factor, 6),
        wins=bound.wins,
        losses=bound.losses,
        differ=bound.differ,
    )


def fitted_arms(results: Results) -> dict[str, Fit]:
    """Return {candidate that learns: its fit (how folds and retraining widen bounds)}."""
    found: dict[str, Fit] = {}
    for name, runs in by_spec(results.runs).items():
        arm = column([run for run in runs if run.state == "measured"])
        if arm is not None and arm.spec.role == "candidate":
            fold = {answer.case: run.fold or 0 for run in arm.runs for answer in run.answers}
            fit = replace(arm, fold=fold).fit(results.split or _equal_folds(fold))
            found |= {name: fit} if fit else {}
    return found


def _equal_folds(fold: Mapping[str, int]) -> Split:
    """Return the split of results of 0.1.0, which hold none: each fold learns from the others."""
    names = range(max(fold.values()) + 1)
    parts = [
        Part(
            train=tuple(i for i, at in fold.items() if at != name),
            dev=(),
            test=tuple(i for i, at in fold.items() if at == name),
        )
        for name in names
    ]
    return Split(k=len(parts), parts=tuple(parts))


def refitted_difference(
    design: Design, values: Values, tail: float, fits: Iterable[Fit | None]
) -> tuple[Difference, float]:
    """Return the mean difference with bounds at `tail` on each side, and its width factor.

    `fits` are those of the arm in either study. Their folds may differ between the studies, so the
    bound is the wider one of both. Both trainings vary: their variances add up.
    """
    known = [fit for fit in fits if fit is not None]
    both = hypot(*(fit.retrained for fit in known))
    widest, factor = design.difference(values, tail), 1.0
    for fit in known:
        own, folds = fit.width([*values])
        if folds is not None:
            found = design.difference(values, tail, replace(fit, retrained=both))
            low, high = min(widest.low, found.low), max(widest.high, found.high)
            widest, factor = widest._replace(low=low, high=high), max(factor, own)
    return widest, factor


Cells = dict[str, tuple[Answer, float]]


def why_uncorrected(first: Results, second: Results) -> str:
    """Return a caution if a judge's differences lack correction by human grades; else ""."""
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
    old, new = _answers_and_scores(first, pair.versus), _answers_and_scores(second, pair.arm)
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


def _answers_and_scores(results: Results, arm: str) -> Cells:
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


METRIC_SOURCE_KEY = "metric_source"

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
    return str(reproduce.get(METRIC_SOURCE_KEY, ""))


def check_same_metric(first: Scoring, second: Scoring) -> None:
    """Raise TaskError if metric, its own file, judge, options or passing score differ.

    The file is compared where both studies stored its hash; see `unknown_source`.
    """
    mine, theirs = _scoring_parts(first), _scoring_parts(second)
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
    """Return a sentence if the user's metric file may have changed between studies; else ""."""
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
    """Return a sentence that the two tasks differ, though not in metric; "" if equal."""
    if first.task.hash == second.task.hash:
        return ""
    known = is_own(metric_name(first.task)) and first.source and second.source
    same = "the metric's name, file and options" if known else "the metric's name and options"
    return f"The tasks differ ({same} do not): only cases of both are compared."


def _scoring_parts(one: Scoring) -> dict[str, Any]:
    success = one.task.success
    name = metric_name(one.task)
    judge = success.judge.model if success.judge and name == "judge" else None
    return {"metric": name, "judge": judge, "options": success.options,
            "pass_at": success.passes_from}  # fmt: skip
