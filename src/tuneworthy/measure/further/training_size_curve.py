"""Measure learning curves: fit an arm on an eighth, a quarter and half of its training rows.

The rows are cut in a copy of the runner (nested, by seed), so arms need no support for it; epochs
stay the same. Every fit is a unit of the ledger like any other. Knows no arm by name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuneworthy.explain.label_errors import label_doubts
from tuneworthy.matrix.columns import retraining_sd
from tuneworthy.matrix.design import Design, Fit
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.further.learning_curve import CurveScores, RowsNeeded, rows_needed
from tuneworthy.measure.planning import PlanInputs
from tuneworthy.measure.units import measure
from tuneworthy.records.answer import Score
from tuneworthy.records.arm import Recipe, Work
from tuneworthy.records.evidence import Evidence, Interval, best_first
from tuneworthy.records.further import LabelCleaningGain, LearningCurve, LearningPoint
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.plugins import load
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run
from tuneworthy.records.specs import chooses, max_training_rows
from tuneworthy.records.task import TRAINED_TOOLS
from tuneworthy.rows.folds import Part

LEARNER_TOOLS = ("classifier", *TRAINED_TOOLS)
_TOOLS_WITHOUT_FIT = ("keep", "prompt", "schema", "context")
_ROW_SHARES = (0.125, 0.25, 0.5)
LEAST_EIGHTH, LEAST_CURVE_ROWS = 20, 5  # the fewest rows of an eighth, and of any size
_CurveCell = tuple[int, int, str]  # seed, fold, case
_ScoresByCell = dict[_CurveCell, float]


@dataclass(frozen=True)
class _Learner:
    """One arm whose curve is measured; `own_scores` are those on all rows."""

    planned: PlannedArm
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    recipes: Sequence[Recipe]
    own_scores: _ScoresByCell
    rival: str
    rival_scores: Mapping[str, float]

    def part(self, runner: Runner, fold: int) -> Part:
        """Return the part of a fold that this arm learns from."""
        return runner.split.parts[fold].learnt(chooses(self.planned.spec))


def learning_curves(
    runner: Runner,
    planned: Sequence[PlannedArm],
    runs: Sequence[Run],
    recipes: Sequence[Recipe],
    evidence: Evidence,
    skip: Mapping[str, str] | None = None,
) -> tuple[LearningCurve, ...]:
    """Return a curve for each finalist that learns from rows (classifier, tuned, distilled).

    `runs` are those of the study so far. `skip` maps arms that are cut for time to the reason.
    Folds are the repeats; with a single split two seeds are. A classifier is also refitted without
    the rows whose labels others contradict.
    """
    curves = []
    for arm in evidence.arms:
        plan = next((p for p in planned if p.spec.name == arm.name and not p.because), None)
        if not arm.finalist or arm.tool not in LEARNER_TOOLS or plan is None:
            continue
        if why := (skip or {}).get(arm.name, ""):
            curves.append(LearningCurve(arm=arm.name, tool=arm.tool, because=why))
            continue
        if not arm.learned:  # recorded answers: nothing here was fitted
            why = "its answers were recorded elsewhere, so it can't be fitted on fewer rows"
            curves.append(LearningCurve(arm=arm.name, tool=arm.tool, because=why))
            continue
        learner = _learner_of(plan, runs, recipes, evidence)
        curve = _measure_curve(runner, learner)
        if arm.tool == "classifier":
            curve = curve.model_copy(update={"cleaning": _measure_label_cleaning(runner, learner)})
        curves.append(curve)
    return tuple(curves)


def curve_minutes(facts: PlanInputs, planned: PlannedArm) -> float:
    """Return the planned minutes of an arm's learning curve, whose points are fits on fewer rows.

    0 if the arm has no estimate (a classifier) or no model was timed.
    """
    arm = load("arms", planned.spec.arm)
    if facts.speed is None or not hasattr(arm, "estimate") or not planned.folds:
        return 0.0
    options = arm.Options.model_validate(planned.spec.options)
    cases = max(len(facts.split.parts[fold].test) for fold in planned.folds)
    repeats = len(planned.folds) if len(planned.folds) > 1 else 2
    total = 0.0
    available = facts.sizes.train + (0 if chooses(planned.spec) else facts.sizes.dev)
    learnt = min(available, max_training_rows(planned.spec) or available)
    for share in _row_shares(learnt):
        rows = round(share * learnt)
        sizes = facts.sizes.model_copy(update={"cases": cases, "train": rows})
        work: Work = arm.estimate(sizes, options)
        total += facts.speed.minutes(work) * repeats
    return round(total, 3)


def _row_shares(rows: int) -> list[float]:
    """Return the shares of `rows` to fit on: .125 (only from 160 rows on), .25 and .5."""
    eighth = rows * _ROW_SHARES[0] >= LEAST_EIGHTH
    return [
        s for s in _ROW_SHARES if rows * s >= LEAST_CURVE_ROWS and (eighth or s > _ROW_SHARES[0])
    ]


def _learner_of(
    planned: PlannedArm, runs: Sequence[Run], recipes: Sequence[Recipe], evidence: Evidence
) -> _Learner:
    """Return what is needed to refit an arm: its scored folds, seeds, own and a rival's scores."""
    own = [run for run in runs if run.spec.name == planned.spec.name and run.state == "measured"]
    folds, seeds = tuple(sorted({run.fold or 0 for run in own})), planned.seeds[:1]
    if len(folds) == 1:  # without folds, two seeds are the repeats
        seeds = (planned.seeds * 2)[:2] if len(planned.seeds) > 1 else (seeds[0], seeds[0] + 1)
    whole = _scores_by_cell([run for run in own if run.seed in seeds])
    rival, beat = _best_untrained_arm(runs, evidence)
    return _Learner(planned, folds, seeds, recipes, whole, rival, beat)


def _best_untrained_arm(runs: Sequence[Run], evidence: Evidence) -> tuple[str, dict[str, float]]:
    """Return (best untrained arm, {case id: its score}), ("", {}) without one."""
    scored = [arm for arm in evidence.arms if arm.score and arm.state == "measured"]
    untrained = [a for a in scored if a.role == "candidate" and a.tool in _TOOLS_WITHOUT_FIT]
    if not untrained:
        return "", {}
    best = best_first(evidence, untrained)[0]
    own = [run for run in runs if run.spec.name == best.name and run.state == "measured"]
    return best.name, {case: value for (_, _, case), value in _scores_by_cell(own).items()}


def _scores_by_cell(runs: Sequence[Run]) -> _ScoresByCell:
    return {
        (run.seed, run.fold or 0, answer.case): score.value if isinstance(score, Score) else 0.0
        for run in runs
        for answer, score in zip(run.answers, run.scores, strict=True)
    }


def _measure_curve(runner: Runner, learner: _Learner) -> LearningCurve:
    parts = [learner.part(runner, fold) for fold in learner.folds]
    rows = min(round(_usable_row_share(learner, part) * len(part.train)) for part in parts)
    sizes: list[tuple[float, _ScoresByCell]] = []
    for share in _row_shares(rows):
        if scores_of_share := dict(_cut_scores(runner, learner, share)):
            sizes.append((share, scores_of_share))
    sizes.append((1.0, dict(_scores_on_all_rows(runner, learner))))
    spec = learner.planned.spec
    points = [_curve_point(runner, learner, share, scores) for share, scores in sizes]
    last = _paired_gain(runner, learner, sizes[-1][1], sizes[-2][1]) if len(sizes) > 1 else None
    cells = _shared_cells(runner, learner, [scores for _, scores in sizes])
    margin = runner.task.success.margin
    needed = rows_needed([p.rows for p in points], cells, margin, runner.task.seed)
    if not learner.rival:
        needed = RowsNeeded(None, None, None, "no arm that learns nothing was measured beside it")
    return LearningCurve(
        arm=spec.name,
        tool=spec.tool,
        points=tuple(points),
        last_doubling=last,
        needed=needed.rows,
        low=needed.low,
        high=needed.high,
        rival=learner.rival,
        because=needed.because,
    )


def _cut_scores(
    runner: Runner, learner: _Learner, share: float
) -> Iterator[tuple[_CurveCell, float]]:
    """Yield (cell, score) after fitting on a share of each fold's rows; no cell if a fit fails."""
    for seed in learner.seeds:
        parts = {
            f: _cut_rows(runner, part, share * _usable_row_share(learner, part), seed)
            for f, part in ((f, learner.part(runner, f)) for f in learner.folds)
        }
        yield from _fit_and_score(runner, learner, seed, parts).items()


def _scores_on_all_rows(runner: Runner, learner: _Learner) -> Iterator[tuple[_CurveCell, float]]:
    """Yield (cell, score) of fits on all rows; a seed that the study did not run is fitted here."""
    fitted_seeds = {seed for seed, _, _ in learner.own_scores}
    yield from learner.own_scores.items()
    for seed in learner.seeds:
        if seed not in fitted_seeds:
            yield from _fit_and_score(runner, learner, seed, {}).items()


def _fit_and_score(
    runner: Runner, learner: _Learner, seed: int, parts: Mapping[int, Part]
) -> _ScoresByCell:
    all_parts = tuple(parts.get(at, part) for at, part in enumerate(runner.split.parts))
    subset = replace(
        runner, split=runner.split.model_copy(update={"parts": all_parts}), timed=False
    )
    update = {"seeds": (seed,), "folds": learner.folds}
    with warnings.catch_warnings():  # expected with few rows
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        fitted_runs = measure(
            subset, learner.planned.model_copy(update=update), learner.recipes, False
        )
    return _scores_by_cell([run for run in fitted_runs if run.state == "measured"])


def _usable_row_share(learner: _Learner, part: Part) -> float:
    """Return the share of a part's training rows that the arm's options let it use."""
    most = max_training_rows(learner.planned.spec)
    return 1.0 if most is None or most >= len(part.train) else most / len(part.train)


def _cut_rows(runner: Runner, part: Part, share: float, seed: int) -> Part:
    """Return the part with a share of its training rows; smaller shares are nested in larger ones.

    Dev rows stay, so that the choice of a checkpoint does not change with the share.
    """
    ordered = sorted(part.train, key=lambda i: digest([runner.task.seed, seed, "curve", i]))
    kept = frozenset(ordered[: round(share * len(ordered))])
    return part.model_copy(update={"train": tuple(i for i in part.train if i in kept)})


def _curve_point(
    runner: Runner, learner: _Learner, share: float, scores: _ScoresByCell
) -> LearningPoint:
    means = _means_by_case(scores)
    parts = [learner.part(runner, fold) for fold in learner.folds]
    available = [
        _usable_row_share(learner, part) * (len(part.train) + len(part.dev)) for part in parts
    ]
    rows = float(np.mean(available))
    return LearningPoint(
        rows=round(share * rows),
        n=len(means),
        repeats=len(learner.folds) * len(learner.seeds),
        score=Design.of(runner.task, runner.split).mean(means).interval,
    )


def _means_by_case(scores: _ScoresByCell) -> dict[str, float]:
    """Return {case id: mean score over its cells}, in the order of the ids."""
    table: dict[str, list[float]] = {}
    for (_, _, case), value in scores.items():
        table.setdefault(case, []).append(value)
    return {case: float(np.mean(table[case])) for case in sorted(table)}


def _paired_gain(
    runner: Runner, learner: _Learner, more: _ScoresByCell, fewer: _ScoresByCell
) -> Interval | None:
    """Return the paired difference `more` - `fewer` of two fits at 95 %, None without pairs."""
    diffs_by_cell = {cell: value - fewer[cell] for cell, value in more.items() if cell in fewer}
    if not diffs_by_cell:
        return None
    fold = {case: at for _, at, case in diffs_by_cell}
    fit = Fit(fold, runner.split, retraining_sd(learner.planned.spec))
    design = Design.of(runner.task, runner.split)
    return design.difference(_means_by_case(diffs_by_cell), fit=fit).interval


def _shared_cells(runner: Runner, learner: _Learner, sizes: Sequence[_ScoresByCell]) -> CurveScores:
    """Return scores of the cells that all sizes and the rival have, with units to resample."""
    shared = set.intersection(*(set(scores) for scores in sizes)) if sizes else set()
    cells = sorted(cell for cell in shared if cell[2] in learner.rival_scores)
    groups = [runner.split.groups.get(case, case) for _, _, case in cells]
    return CurveScores(
        scores=np.array([[scores[cell] for scores in sizes] for cell in cells]),
        rival=np.array([learner.rival_scores[case] for _, _, case in cells]),
        cases=np.unique(groups, return_inverse=True)[1],
        repeats=np.unique([f"{seed} {fold}" for seed, fold, _ in cells], return_inverse=True)[1],
    )


def _measure_label_cleaning(runner: Runner, learner: _Learner) -> LabelCleaningGain:
    """Return the gain of an arm when training rows with contradicted labels are left out.

    Contradicted: another row has the same input and another answer, or 4 or 5 of the 5 nearest
    inputs have the same other label. Only training and dev rows are compared.
    """
    name, parts, dropped = learner.planned.spec.name, {}, []
    for fold in learner.folds:
        part = learner.part(runner, fold)
        train = [runner.learn_cases[i] for i in part.train]
        contradicted = {
            d.case
            for d in label_doubts(runner.task, train, [runner.learn_cases[i] for i in part.dev])
        }
        kept = tuple(i for i in part.train if i not in contradicted)
        parts[fold] = part.model_copy(update={"train": kept})
        dropped.append(len(part.train) - len(kept))
    rows = float(np.mean([len(learner.part(runner, fold).train) for fold in learner.folds]))
    mean_dropped = float(np.mean(dropped))
    if not mean_dropped:
        why = "no training row is denied by a copy of it or by its neighbours"
        return LabelCleaningGain(arm=name, rows=rows, dropped=0.0, because=why)
    scores: _ScoresByCell = {}
    for seed in learner.seeds:
        scores |= _fit_and_score(runner, learner, seed, parts)
    gain = _paired_gain(runner, learner, scores, dict(_scores_on_all_rows(runner, learner)))
    why = "" if gain else "it could not be fitted without them"
    n = len({case for _, _, case in scores})
    return LabelCleaningGain(arm=name, rows=rows, dropped=mean_dropped, n=n, gain=gain, because=why)
