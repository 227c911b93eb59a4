"""Report how reliable the measurement is: power, metric checks, leaks, flips. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuneworthy.explain.consistency import (
    FILE_ROWS_DESIGN,
    common_form_share,
    contradiction_share,
    neighbour_noise,
    smallest_class_size,
)
from tuneworthy.explain.diagnosis import answer_columns, base_of
from tuneworthy.explain.metric_ladder import (
    ANOTHER_ROW,
    HALF,
    MOST_CASES,
    ONE_PART,
    another_row,
    first_half,
    ranking_auc,
    replace_one_part,
    score_of_text,
)  # fmt: skip
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.detectable import detectable_by, smallest_effect
from tuneworthy.metrics import Metric
from tuneworthy.records.answer import Score
from tuneworthy.records.audit_report import Soundness
from tuneworthy.records.case import Case
from tuneworthy.records.evidence import ArmResult, Evidence, Interval, Pair, best_first
from tuneworthy.records.run import Run
from tuneworthy.records.task import Task
from tuneworthy.rows.copies import near_copy_groups
from tuneworthy.rows.load import Loaded

_NO_REPEATS = "nothing was asked twice: answers that are logged or greedy do not change"


@dataclass(frozen=True)
class MeasurementInputs:
    """The inputs of the examination: the task, its loaded rows, the scored cases, the metric."""

    task: Task
    loaded: Loaded
    cases: Sequence[Case]
    metric: Metric


def soundness(
    inputs: MeasurementInputs,
    evidence: Evidence,
    runs: Sequence[Run],
    again: Mapping[str, bool] | None = None,
) -> Soundness:
    """Return how reliable rows and metric are; `missing` has the reason for each None.

    `again`: for each case, whether the base arm passes when run once more. A judge metric
    is not examined here, since every step of its ladder would be a paid request.
    """
    missing: dict[str, str] = {}
    n, detectable, differ = _best_pair_power(evidence, inputs.task.success.margin)
    if detectable is None:
        missing["mde"] = "no row was scored"
    own = _own_scores(inputs, missing)
    ladder, gold = _metric_ladder(inputs, own, missing)
    task, rows = inputs.task, inputs.loaded.everyone
    return Soundness(
        n=n,
        mde=detectable,
        differ=differ,
        ladder=ladder,
        gold=gold,
        unscored=FILE_ROWS_DESIGN.rate(own.count(None), len(own)) if own else None,
        flips=_base_flip_share(inputs, runs, again, missing),
        leak=largest_leak_shift(inputs.loaded, runs, missing),
        contradictions=contradiction_share(task, rows),
        one_form=common_form_share(task, rows, missing),
        noise=neighbour_noise(task, rows, missing),
        fewest_of_a_class=smallest_class_size(task, rows, missing),
        missing=missing,
    )


def leaked_rows(loaded: Loaded) -> frozenset[str]:
    """Return ids of test rows with a near-copy, of the same answer, among the training rows."""
    if loaded.test is None:
        return frozenset()
    numbers, count = near_copy_groups(loaded.copies), len(loaded.cases)
    seen_in_training = {*numbers[:count], *numbers[count + len(loaded.test) :]}
    of_test = zip(loaded.test, numbers[count:], strict=False)
    return frozenset(case.id for case, number in of_test if number in seen_in_training)


def largest_leak_shift(
    loaded: Loaded, runs: Sequence[Run], missing: dict[str, str]
) -> float | None:
    """Return the largest change of an arm's mean score when leaked test rows are left out.

    0 without leaked rows (under cross-fitting near-copies are in one fold). In score points. None
    if no row of an arm is left without them; `missing` gets the reason.
    """
    leaked_ids = leaked_rows(loaded)
    moves = []
    for scores in _scores_by_arm(runs).values() if leaked_ids else ():
        rest = [score for case, score in scores.items() if case not in leaked_ids]
        if not rest:
            missing["leak"] = "every scored row is a near-copy of a training row"
            return None
        moves.append(abs(float(np.mean(rest)) - float(np.mean(list(scores.values())))))
    return round(max(moves, default=0.0), 6)


def _scores_by_arm(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return {arm: {case id: score}} of the candidates; an unscored answer counts as wrong."""
    table: dict[str, dict[str, float]] = {}
    for run in runs:
        if run.state in {"measured", "stopped_early"} and run.spec.role == "candidate":
            scores = table.setdefault(run.spec.name, {})
            for answer, score in zip(run.answers, run.scores, strict=True):
                scores[answer.case] = score.value if isinstance(score, Score) else 0.0
    return table


def _best_pair_power(evidence: Evidence, margin: float) -> tuple[int, float | None, float | None]:
    """Return (n, smallest detectable difference, differing share) of the two best finalists.

    If they are more than a margin apart, the share
    is the one expected at the margin: the cases on which they differ in both directions, plus the
    margin. Before two are measured it is assumed to be .2, without widening for folds.
    """
    scored = [a for a in evidence.arms if a.finalist and a.role == "candidate" and a.score]
    best = best_first(evidence, scored)[:2]
    pair = _pair_of_arms(evidence, best) if len(best) == 2 else None
    if pair is None or not pair.n:
        n = evidence.n
        return (
            n,
            round(smallest_effect(n), 6) if n else None,
            None,
        )
    detectable, differ = detectable_by(pair, margin)
    return pair.n, round(min(1.0, detectable), 6), round(differ, 6)


def _pair_of_arms(evidence: Evidence, two: Sequence[ArmResult]) -> Pair | None:
    names = {arm.name for arm in two}
    return next((pair for pair in evidence.pairs if {pair.arm, pair.versus} == names), None)


def _own_scores(inputs: MeasurementInputs, missing: dict[str, str]) -> list[float | None]:
    """Return the metric's score (None: unscored) of up to 500 right answers; [] for a judge."""
    fields = ("ladder", "gold", "unscored")
    if inputs.task.success.judge is not None:
        missing |= dict.fromkeys(fields, "a judge grades: its own checks stand for it")
        return []
    if not inputs.cases:
        missing |= dict.fromkeys(fields, "no row is scored")
    return [score_of_text(inputs.metric, case, case.output) for case in inputs.cases[:MOST_CASES]]


def _metric_ladder(
    inputs: MeasurementInputs, own: Sequence[float | None], missing: dict[str, str]
) -> tuple[dict[str, float], float | None]:
    cases = list(inputs.cases)[:MOST_CASES]
    scored = [score for score in own if score is not None]
    if own and not scored:
        missing |= dict.fromkeys(("ladder", "gold"), "the metric gives no right answer a score")
    if not scored:
        return {}, None
    steps = {ANOTHER_ROW: another_row(cases), ONE_PART: replace_one_part(cases), HALF: first_half}
    if inputs.task.output.type == "label":  # a replaced label is another row's label
        del steps[ONE_PART]
        missing[f"ladder/{ONE_PART}"] = "a label is one part: see another row's"
    aucs = {name: ranking_auc(cases, inputs.metric, own, step) for name, step in steps.items()}
    for name in (name for name, auc in aucs.items() if auc is None):
        missing[f"ladder/{name}"] = "fewer than 10 rows have such an answer"
    if ANOTHER_ROW in aucs and aucs[ANOTHER_ROW] is None:
        missing["ladder"] = "fewer than 10 rows have another row's answer that is wrong for them"
    measured = {name: round(auc, 6) for name, auc in aucs.items() if auc is not None}
    return measured, round(float(np.mean(scored)), 6)


def flip_share(
    first: Mapping[str, bool], again: Mapping[str, bool], design: Design
) -> Interval | None:
    """Return the share of cases run twice that pass only once; None if none was run twice."""
    changed = {case: first[case] != again[case] for case in first if case in again}
    return design.share(changed).interval if changed else None


def _base_flip_share(
    inputs: MeasurementInputs,
    runs: Sequence[Run],
    again: Mapping[str, bool] | None,
    missing: dict[str, str],
) -> Interval | None:
    base = base_of(answer_columns(inputs.task, runs))
    share = (
        flip_share(base.passed, again, Design.of_cases(inputs.cases)) if base and again else None
    )
    if share is None:
        missing["flips"] = _NO_REPEATS
    return share
