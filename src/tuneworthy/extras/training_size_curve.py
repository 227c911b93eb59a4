"""Would more rows help? An arm that learns is fitted on an eighth, a quarter and half of its rows.

The measuring side cuts the rows (nested, by seed), so no arm has to know; epochs stay the same.
Every fit is a unit of the ledger like any other. Knows no arm by name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuneworthy.core.answer import Score
from tuneworthy.core.arm import Recipe, Work
from tuneworthy.core.curve import Cleaning, LearningCurve, LearningPoint
from tuneworthy.core.evidence import Evidence, Interval
from tuneworthy.core.order import best_first
from tuneworthy.core.plan import PlannedArm
from tuneworthy.core.plugins import load
from tuneworthy.core.record import digest
from tuneworthy.core.run import Run
from tuneworthy.core.specs import chooses, most_rows
from tuneworthy.data.folds import Part
from tuneworthy.diagnose.label_errors import doubts
from tuneworthy.measure.planning import Facts
from tuneworthy.measure.units import Bench, measure
from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import Folds
from tuneworthy.stats.learning_curve import Cells, Needed, rows_needed

LEARNERS = ("classifier", "tune", "distil")
UNTRAINED = ("keep", "prompt", "schema", "context")
SHARES = (0.125, 0.25, 0.5)
EIGHTH, LEAST = 20, 5  # rows from which an eighth is tried, and below which no size is
TAIL = 0.025  # each side of a two-sided 95 % interval
Cell = tuple[int, int, str]  # seed, fold, case
Scores = dict[Cell, float]


@dataclass(frozen=True)
class _Learner:
    """One arm whose curve is measured: its plan, its folds and seeds, and what it has to beat."""

    planned: PlannedArm
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    recipes: Sequence[Recipe]
    whole: Scores
    rival: str
    beat: Mapping[str, float]

    def part(self, bench: Bench, fold: int) -> Part:
        """Return a part as this arm learns from it."""
        return bench.split.parts[fold].learnt(chooses(self.planned.spec))


def learning_curves(
    bench: Bench,
    planned: Sequence[PlannedArm],
    runs: Sequence[Run],
    recipes: Sequence[Recipe],
    evidence: Evidence,
    skip: Mapping[str, str] | None = None,
) -> tuple[LearningCurve, ...]:
    """Return a curve for each finalist that learns from rows (classifier, tuned, distilled).

    `runs` are those of the study so far. `skip` names arms that there is no time for, with why.
    Folds serve as repeats; with one split two seeds do. A classifier is also refitted without
    the rows whose answers others deny.
    """
    out = []
    for arm in evidence.arms:
        plan = next((p for p in planned if p.spec.name == arm.name and not p.because), None)
        if not arm.finalist or arm.tool not in LEARNERS or plan is None:
            continue
        if why := (skip or {}).get(arm.name, ""):
            out.append(LearningCurve(arm=arm.name, tool=arm.tool, because=why))
            continue
        if not arm.learned:  # recorded answers: nothing here was fitted
            why = "its answers were recorded elsewhere, so it can't be fitted on fewer rows"
            out.append(LearningCurve(arm=arm.name, tool=arm.tool, because=why))
            continue
        learner = _learner(plan, runs, recipes, evidence)
        found = _curve(bench, learner)
        if arm.tool == "classifier":
            found = found.model_copy(update={"cleaning": cleaning(bench, learner)})
        out.append(found)
    return tuple(out)


def curve_minutes(facts: Facts, planned: PlannedArm) -> float:
    """Return the minutes that the curve of a planned arm takes: its fits on fewer rows.

    0 where the arm says nothing of its work (a classifier), or without a model to time.
    """
    arm = load("arms", planned.spec.arm)
    if facts.speed is None or not hasattr(arm, "estimate") or not planned.folds:
        return 0.0
    options = arm.Options.model_validate(planned.spec.options)
    cases = max(len(facts.split.parts[fold].test) for fold in planned.folds)
    repeats = len(planned.folds) if len(planned.folds) > 1 else 2
    total = 0.0
    there = facts.sizes.train + (0 if chooses(planned.spec) else facts.sizes.dev)
    learnt = min(there, most_rows(planned.spec) or there)
    for share in _shares(learnt):
        rows = round(share * learnt)
        sizes = facts.sizes.model_copy(update={"cases": cases, "train": rows})
        work: Work = arm.estimate(sizes, options)
        total += facts.speed.minutes(work) * repeats
    return round(total, 3)


def _shares(rows: int) -> list[float]:
    """Return the shares of the rows that are tried: an eighth from 160 rows, a quarter, half."""
    eighth = rows * SHARES[0] >= EIGHTH
    return [s for s in SHARES if rows * s >= LEAST and (eighth or s > SHARES[0])]


def _learner(
    planned: PlannedArm,
    runs: Sequence[Run],
    recipes: Sequence[Recipe],
    evidence: Evidence,
) -> _Learner:
    """Return what a curve is made from; its folds are those that the arm was scored on."""
    own = [run for run in runs if run.spec.name == planned.spec.name and run.state == "measured"]
    folds, seeds = tuple(sorted({run.fold or 0 for run in own})), planned.seeds[:1]
    if len(folds) == 1:  # folds are the repeats, else two seeds are
        seeds = (planned.seeds * 2)[:2] if len(planned.seeds) > 1 else (seeds[0], seeds[0] + 1)
    whole = _scores([run for run in own if run.seed in seeds])
    rival, beat = _rival(runs, evidence)
    return _Learner(planned, folds, seeds, recipes, whole, rival, beat)


def _rival(runs: Sequence[Run], evidence: Evidence) -> tuple[str, dict[str, float]]:
    """Return the best arm that learns nothing and its score by case, or nothing without one."""
    scored = [arm for arm in evidence.arms if arm.score and arm.state == "measured"]
    able = [a for a in scored if a.role == "candidate" and a.tool in UNTRAINED]
    if not able:
        return "", {}
    best = best_first(evidence, able)[0]
    own = [run for run in runs if run.spec.name == best.name and run.state == "measured"]
    return best.name, {case: value for (_, _, case), value in _scores(own).items()}


def _scores(runs: Sequence[Run]) -> Scores:
    return {
        (run.seed, run.fold or 0, answer.case): score.value if isinstance(score, Score) else 0.0
        for run in runs
        for answer, score in zip(run.answers, run.scores, strict=True)
    }


def _curve(bench: Bench, learner: _Learner) -> LearningCurve:
    parts = [learner.part(bench, fold) for fold in learner.folds]
    rows = min(round(_learnt(learner, part) * len(part.train)) for part in parts)
    sizes: list[tuple[float, Scores]] = []
    for share in _shares(rows):
        if fewer := dict(_cut_scores(bench, learner, share)):
            sizes.append((share, fewer))
    sizes.append((1.0, dict(_all_rows(bench, learner))))
    spec = learner.planned.spec
    points = [_point(bench, learner, share, scores) for share, scores in sizes]
    last = _gain(bench, learner, sizes[-1][1], sizes[-2][1]) if len(sizes) > 1 else None
    cells = _cells(bench, learner, [scores for _, scores in sizes])
    margin = bench.task.success.margin
    found = rows_needed([p.rows for p in points], cells, margin, bench.task.seed)
    if not learner.rival:
        found = Needed(None, None, None, "no arm that learns nothing was measured beside it")
    return LearningCurve(
        arm=spec.name,
        tool=spec.tool,
        points=tuple(points),
        last_doubling=last,
        needed=found.rows,
        low=found.low,
        high=found.high,
        rival=learner.rival,
        because=found.because,
    )


def _cut_scores(bench: Bench, learner: _Learner, share: float) -> Iterator[tuple[Cell, float]]:
    """Yield the scores after learning from a share of each fold's rows; none where a fit failed."""
    for seed in learner.seeds:
        parts = {
            f: _cut(bench, part, share * _learnt(learner, part), seed)
            for f, part in ((f, learner.part(bench, f)) for f in learner.folds)
        }
        yield from _fitted(bench, learner, seed, parts).items()


def _all_rows(bench: Bench, learner: _Learner) -> Iterator[tuple[Cell, float]]:
    """Yield the scores on all rows; a seed that the study did not run is fitted here."""
    known = {seed for seed, _, _ in learner.whole}
    yield from learner.whole.items()
    for seed in learner.seeds:
        if seed not in known:
            yield from _fitted(bench, learner, seed, {}).items()


def _fitted(bench: Bench, learner: _Learner, seed: int, parts: Mapping[int, Part]) -> Scores:
    whole = tuple(parts.get(at, part) for at, part in enumerate(bench.split.parts))
    some = replace(bench, split=bench.split.model_copy(update={"parts": whole}), timed=False)
    update = {"seeds": (seed,), "folds": learner.folds}
    with warnings.catch_warnings():  # few rows are the point here
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        found = measure(some, learner.planned.model_copy(update=update), learner.recipes, False)
    return _scores([run for run in found if run.state == "measured"])


def _learnt(learner: _Learner, part: Part) -> float:
    """Return the share of a part's training rows that the arm learns from by its options."""
    most = most_rows(learner.planned.spec)
    return 1.0 if most is None or most >= len(part.train) else most / len(part.train)


def _cut(bench: Bench, part: Part, share: float, seed: int) -> Part:
    """Return the part with a share of its training rows; a smaller share holds fewer of the same.

    Dev rows stay where an arm chooses a checkpoint on them: on fewer that were another question.
    """
    ordered = sorted(part.train, key=lambda i: digest([bench.task.seed, seed, "curve", i]))
    kept = frozenset(ordered[: round(share * len(ordered))])
    return part.model_copy(update={"train": tuple(i for i in part.train if i in kept)})


def _point(bench: Bench, learner: _Learner, share: float, scores: Scores) -> LearningPoint:
    cases, values, _ = _by_case(scores)
    found = bounds.mean_interval(values, groups=_groups(bench, cases))
    parts = [learner.part(bench, fold) for fold in learner.folds]
    both = [_learnt(learner, part) * (len(part.train) + len(part.dev)) for part in parts]
    rows = float(np.mean(both))
    mean, least, most = (round(float(value), 6) for value in found)
    return LearningPoint(
        rows=round(share * rows),
        n=len(cases),
        repeats=len(learner.folds) * len(learner.seeds),
        score=Interval(mean=mean, low=least, high=most),
    )


def _by_case(scores: Scores) -> tuple[list[str], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return cases, their mean score over seeds, and their fold."""
    table: dict[str, list[float]] = {}
    fold = {}
    for (_, at, case), value in scores.items():
        table.setdefault(case, []).append(value)
        fold[case] = at
    cases = sorted(table)
    means = np.array([float(np.mean(table[case])) for case in cases])
    return cases, means, np.array([fold[case] for case in cases])


def _gain(bench: Bench, learner: _Learner, more: Scores, fewer: Scores) -> Interval | None:
    """Return the paired difference of two fits, two-sided 95 %, widened as every fitted pair is."""
    both = {cell: value - fewer[cell] for cell, value in more.items() if cell in fewer}
    if not both:
        return None
    cases, diffs, folds = _by_case(both)
    factor = bench.split.width_factor(learner.folds)
    found = bounds.paired(
        diffs,
        TAIL,
        factor=factor,
        groups=_groups(bench, cases),
        folds=Folds(folds) if factor > 1 else None,
    )
    mean, low, high = (round(float(v), 6) for v in (found.mean, found.low, found.high))
    return Interval(mean=mean, low=low, high=high)


def _groups(bench: Bench, cases: Sequence[str]) -> np.ndarray[Any, Any]:
    return np.array([bench.split.groups.get(case, case) for case in cases])


def _cells(bench: Bench, learner: _Learner, sizes: Sequence[Scores]) -> Cells:
    """Return the cells that every size and the rival have; a group of cases is drawn as one."""
    shared = set.intersection(*(set(scores) for scores in sizes)) if sizes else set()
    cells = sorted(cell for cell in shared if cell[2] in learner.beat)
    groups = [bench.split.groups.get(case, case) for _, _, case in cells]
    return Cells(
        scores=np.array([[scores[cell] for scores in sizes] for cell in cells]),
        rival=np.array([learner.beat[case] for _, _, case in cells]),
        cases=np.unique(groups, return_inverse=True)[1],
        repeats=np.unique([f"{seed} {fold}" for seed, fold, _ in cells], return_inverse=True)[1],
    )


def cleaning(bench: Bench, learner: _Learner) -> Cleaning:
    """Return what an arm gains when training rows that others deny are left out.

    Denied: another row has the same input and another answer, or 4 of the 5 nearest inputs have
    one other label. Only rows that may be learnt from are compared.
    """
    name, parts, dropped = learner.planned.spec.name, {}, []
    for fold in learner.folds:
        part = learner.part(bench, fold)
        train = [bench.learn[i] for i in part.train]
        bad = {d.case for d in doubts(bench.task, train, [bench.learn[i] for i in part.dev])}
        kept = tuple(i for i in part.train if i not in bad)
        parts[fold] = part.model_copy(update={"train": kept})
        dropped.append(len(part.train) - len(kept))
    rows = float(np.mean([len(learner.part(bench, fold).train) for fold in learner.folds]))
    lost = float(np.mean(dropped))
    if not lost:
        why = "no training row is denied by a copy of it or by its neighbours"
        return Cleaning(arm=name, rows=rows, dropped=0.0, because=why)
    scores: Scores = {}
    for seed in learner.seeds:
        scores |= _fitted(bench, learner, seed, parts)
    gain = _gain(bench, learner, scores, dict(_all_rows(bench, learner)))
    why = "" if gain else "it could not be fitted without them"
    n = len({case for _, _, case in scores})
    return Cleaning(arm=name, rows=rows, dropped=lost, n=n, gain=gain, because=why)
