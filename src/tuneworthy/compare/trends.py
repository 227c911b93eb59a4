"""Add to the evidence the rows each arm learnt from and the trends of pairs over time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tuneworthy.compare.built_cells import best_cells
from tuneworthy.core.case import Case
from tuneworthy.core.difference_trend import SegmentMeans, Trend
from tuneworthy.core.evidence import ArmResult, Evidence
from tuneworthy.core.run import Run
from tuneworthy.core.specs import chooses, max_training_rows
from tuneworthy.core.split import Split
from tuneworthy.data.rows import sortable_time
from tuneworthy.stats.trend import MIN_UNITS, largest_change_point

NO_TREND = f"fewer than {MIN_UNITS} independent rows, or a single time"


def with_fits_and_trends(
    split: Split, cases: Sequence[Case], runs: Sequence[Run], evidence: Evidence
) -> Evidence:
    """Return the evidence with each arm's training rows and each finalist pair's time trend."""
    arms = tuple(arm.model_copy(update=_fits_and_rows(split, runs, arm)) for arm in evidence.arms)
    trends = tuple(_finalist_trends(split, cases, runs, arms))
    return evidence.model_copy(update={"arms": arms, "trends": trends})


def _fits_and_rows(split: Split, runs: Sequence[Run], arm: ArmResult) -> dict[str, Any]:
    """Return the fields `fits` and `learnt_from`: the fits of an arm, and the fewest and most rows.

    Only one seed per fold counts, since one seed is what would be built.
    """
    own = [r for r in runs if r.spec.name == arm.name and r.state == "measured" and r.learned]
    folds = sorted({run.fold or 0 for run in own})
    if not arm.score or not folds:
        return {"fits": 0, "learnt_from": None}
    spec = own[0].spec
    rows = [len(split.parts[fold].learnt(chooses(spec)).train) for fold in folds]
    most = max_training_rows(spec) or max(rows)
    return {"fits": len(folds), "learnt_from": (min(*rows, most), min(max(rows), most))}


def _finalist_trends(
    split: Split, cases: Sequence[Case], runs: Sequence[Run], arms: Sequence[ArmResult]
) -> Iterator[Trend]:
    """Yield the trend of each pair of finalists; none if a scored row has no time."""
    times = {case.id: case.time for case in cases if case.time is not None}
    if not cases or len(times) < len(cases):
        return
    names = [arm.name for arm in arms if arm.finalist and arm.score]
    cells = {name: {i: v for i, (_, v) in best_cells(runs, name).items()} for name in names}
    for arm, versus in combinations(names, 2):
        yield _pair_trend((arm, versus), (cells[arm], cells[versus]), times, split.groups)


def _pair_trend(
    names: tuple[str, str],
    cells: tuple[Mapping[str, float], Mapping[str, float]],
    times: Mapping[str, str],
    groups: Mapping[str, str],
) -> Trend:
    ids = sorted(set(cells[0]) & set(cells[1]))
    mine, theirs = (np.array([side[i] for i in ids]) for side in cells)
    moments = np.array([sortable_time(times[i]) for i in ids])
    change = largest_change_point(mine - theirs, moments, [groups.get(i, i) for i in ids])
    if change is None:
        return Trend(arm=names[0], versus=names[1], n=len(ids), because=NO_TREND)
    before, after = change.before, ~change.before
    at = int(np.flatnonzero(after)[moments[after].argmin()])
    return Trend(
        arm=names[0],
        versus=names[1],
        n=len(ids),
        p=round(change.p, 6),
        before=_segment_means(mine[before], theirs[before]),
        after=_segment_means(mine[after], theirs[after]),
        from_time=times[ids[at]],
    )


def _segment_means(mine: np.ndarray, theirs: np.ndarray) -> SegmentMeans:
    return SegmentMeans(
        n=mine.size, arm=round(float(mine.mean()), 6), versus=round(float(theirs.mean()), 6)
    )
