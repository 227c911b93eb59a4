"""Add to the evidence the rows each arm learnt from and the trends of pairs over time. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, groupby, pairwise
from typing import Any

import numpy as np

from tuneworthy.explain.arm_figures import with_figures, with_label_figures
from tuneworthy.explain.interval_width import why_wide
from tuneworthy.matrix.columns import ladder_place
from tuneworthy.matrix.design import LEAST_UNITS_OF_A_TREND, Design
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.case import Case
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.run import Run, taught_rows
from tuneworthy.records.specs import chooses, max_training_rows
from tuneworthy.records.split import Neighbours, SegmentMeans, Split, Trend
from tuneworthy.rows.rows import sortable_time

_SORTED_SHARE = 0.9
"""Rows count as sorted if steps up exceed steps down, or the reverse, by this share of all."""
_LEAST_SOURCES = 5
_NO_TREND = f"fewer than {LEAST_UNITS_OF_A_TREND} independent rows, or a single time"


def with_fits_and_trends(
    inputs: ComparisonInputs, cases: Sequence[Case], runs: Sequence[Run], evidence: Evidence
) -> Evidence:
    """Return the evidence with fits, figures, width reasons, trends and neighbour tests added.

    The line of a running study does without these.
    """
    split, matrix = inputs.split, Matrix.of(inputs, runs)
    arms = tuple(
        arm.model_copy(update=_fits_and_rows(split, runs, arm) | _why_wide_field(matrix, arm))
        for arm in evidence.arms
    )
    arms = with_figures(matrix, cases, arms)
    arms = with_label_figures(Matrix.by_score(inputs, runs), cases, arms)
    names = [arm.name for arm in arms if arm.finalist and arm.score]
    cells = {name: matrix.columns[name].scores for name in names}
    trends = tuple(_finalist_trends(split, cases, cells))
    alike = tuple(neighbours(cases, cells, split.groups))
    return evidence.model_copy(update={"arms": arms, "trends": trends, "neighbours": alike})


def _why_wide_field(matrix: Matrix, arm: ArmResult) -> dict[str, Any]:
    """Return {"wide": reasons why an arm's interval is wide}; {} without a score."""
    if arm.score is None:
        return {}
    column = matrix.columns[arm.name]
    rivals = matrix.places.get(ladder_place(column.spec), ()) if arm.finalist else ()
    ids = sorted(column.cells)
    return {"wide": why_wide(matrix.inputs, column, ids, arm.score, len(rivals))}


def _fits_and_rows(split: Split, runs: Sequence[Run], arm: ArmResult) -> dict[str, Any]:
    """Return {"fits": number of fits, "learnt_from": (fewest, most rows) or None} of an arm.

    Only one seed per fold counts, since one seed is what would be built.
    """
    own = [r for r in runs if r.spec.name == arm.name and r.state == "measured" and r.learned]
    folds = sorted({run.fold or 0 for run in own})
    if not arm.score or not folds:
        return {"fits": 0, "learnt_from": None}
    spec = own[0].spec
    labelled = [len(split.parts[fold].learnt(chooses(spec)).train) for fold in folds]
    most = max_training_rows(spec) or max(labelled)
    taught = {run.fold or 0: taught_rows(run.trace) for run in own}
    rows = [min(count, most) + taught[fold] for fold, count in zip(folds, labelled, strict=True)]
    return {"fits": len(folds), "learnt_from": (min(rows), max(rows))}


def _finalist_trends(
    split: Split, cases: Sequence[Case], cells: Mapping[str, Mapping[str, float]]
) -> Iterator[Trend]:
    """Yield the largest break over time of each pair's difference; nothing if a row has no time."""
    times = {case.id: case.time for case in cases if case.time is not None}
    if not cases or len(times) < len(cases):
        return
    for arm, versus in combinations(cells, 2):
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
    diffs = dict(zip(ids, (mine - theirs).tolist(), strict=True))
    change = Design(groups).change_over_time(diffs, moments)
    if change is None:
        return Trend(arm=names[0], versus=names[1], n=len(ids), because=_NO_TREND)
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


def neighbours(
    cases: Sequence[Case], scores: Mapping[str, Mapping[str, float]], groups: Mapping[str, str]
) -> Iterator[Neighbours]:
    """Yield, per two arms, the test if rows near each other in the file have like differences.

    `scores` maps an arm to its score by case, `groups` a case to its group or set of copies. There
    are none if every row names a group of its own (who does knows it), if the place of a row is not
    known, or if the rows are sorted by input, where neighbours are alike by the order alone.
    """
    places = [_place_in_file(case) for case in cases]
    named = {case.group for case in cases} - {None}
    if not cases or len(named) == len(cases) or None in places:
        return
    order = sorted(range(len(cases)), key=lambda at: places[at] or ("", 0))
    rows = [cases[at] for at in order]
    if _sorted_by_input(rows):
        return
    classes = {case.id: case.output for case in rows}
    known = 5 * len(set(classes.values())) <= len(rows)
    column = _column_of_sources(rows)
    for arm, versus in combinations(scores, 2):
        both = [case.id for case in rows if case.id in scores[arm] and case.id in scores[versus]]
        diffs = {i: scores[arm][i] - scores[versus][i] for i in both}
        n, p = Design(groups).neighbours_alike(diffs, classes if known else None)
        yield Neighbours(arm=arm, versus=versus, n=n, p=p and round(p, 6), column=column)


def _place_in_file(case: Case) -> tuple[str, int] | None:
    """Return (file, line) of a row, None if it is not known."""
    file, _, line = case.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else None


def _sorted_by_input(rows: Sequence[Case]) -> bool:
    """Return whether the rows stand in the order of their inputs, or of the inputs' lengths."""
    for key in (str.casefold, len):
        values: list[Any] = [key(case.input) for case in rows]
        steps = [(b > a) - (b < a) for a, b in pairwise(values)]
        if abs(sum(steps)) >= _SORTED_SHARE * max(1, len(steps)):
            return True
    return False


def _column_of_sources(rows: Sequence[Case]) -> str:
    """Return the field of `meta`, or "id", whose equal values stand next to each other; else "".

    Of several the one with most values; an id counts up to its last mark (`doc7-3`: `doc7`).
    """
    fields = {key: [case.meta.get(key) for case in rows] for key in sorted(rows[0].meta)}
    fields["id"] = [re.split(r"[-_/#:.][^-_/#:.]*$", case.id)[0] for case in rows]
    found: dict[str, int] = {}
    for key, values in fields.items():
        if not all(isinstance(value, str | int) for value in values):
            continue
        blocks, distinct = len(list(groupby(values))), len(set(values))
        if _LEAST_SOURCES <= distinct <= len(rows) / 2 and blocks <= 1.1 * distinct:
            found[key] = distinct
    return max(found, key=lambda key: found[key], default="")
