"""Why a score's interval is wide: each reason computed from the study's own records. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tuneworthy.compare.choice import best_by_fold
from tuneworthy.compare.columns import Column
from tuneworthy.compare.pairs import Shape
from tuneworthy.core.counting import counted, points
from tuneworthy.core.evidence import Interval
from tuneworthy.core.run import Run
from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import Folds, Groups, cluster_numbers, effective

WIDER, STEP = 1.15, 1.03
"""An interval is explained from this ratio on to that of independent rows; a reason counts from
this ratio on to the interval without it."""
MANY = 0.2  # the width, in score points, from which rows alone are few
KINDS = {
    "zero": "the plain instruction", "short": "the instruction alone", "file": "your own prompt",
    "few": "{k} fixed examples", "nearest": "the {k} nearest examples",
}  # fmt: skip

Array = np.ndarray[Any, Any]


def why_wide(
    shape: Shape, column: Column, ids: Sequence[str], score: Interval, rivals: int
) -> tuple[str, ...]:
    """Return why an arm's interval is wider than one of as many independent rows, or nothing.

    First by how much, then the reasons. They come in the order in which they widen the interval,
    each measured against the interval without it. `rivals` are the arms of its tool, itself too.
    """
    values, groups = column.values(ids), shape.grouped(ids)
    folds = np.array([column.fold[i] for i in ids])
    factor = shape.factor(folds) if column.learned else 1.0
    steps: list[dict[str, Any]] = [{}, {"groups": groups}, {"groups": groups, "factor": factor}]
    if factor > 1:
        fitted = {"groups": groups, "factor": factor}
        steps += [{**fitted, "folds": Folds(folds, sd)} for sd in (0.0, column.retrained)]
    sizes = [_width(values, **step) for step in steps] + [score.high - score.low]
    plain, total = sizes[0], sizes[-1]
    if not plain or total <= WIDER * plain:
        return ()
    if shape.grades is not None:
        return (_lead(total, plain, len(ids)), "a judge's scores stand on the few that you graded")
    grows = [after > STEP * before for before, after in pairwise(sizes)]
    said = [_lead(total, plain, len(ids))]
    if grows[0]:
        said.append(_groups(groups, len(ids)))
    if factor > 1 and grows[1]:
        said.append(_shared(shape, folds, factor))
    if factor > 1 and grows[2]:
        said += _scatter(column, values, folds)
    if factor > 1 and grows[3]:
        said.append(f"one training to the next is taken to differ by {points(column.retrained)}")
    if grows[-1] and rivals > 1:
        said.append(f"it is the best of {rivals} arms of its tool, which its lower end allows for")
    if plain > MANY:
        said.append("rows are few as well")
    return tuple(said)


def _width(values: Array, **more: Any) -> float:
    _, low, high = bounds.mean_interval(values, bounds.NAMED, **more)
    return float(high - low)


def _lead(total: float, plain: float, n: int) -> str:
    rows = counted(n, "independent row")
    wide = f"{points(total)} wide, {_times(total / plain)} as wide as {rows} would leave it"
    return f"{wide} ({points(plain)})"


def _groups(groups: Groups, n: int) -> str:
    worth = effective(cluster_numbers(groups.of, n))
    return f"its rows come in groups and are worth {worth:,.0f} independent ones"


def _shared(shape: Shape, folds: Array, factor: float) -> str:
    """Return how much the folds' shared training rows widen it, and how much all folds would."""
    run, there = len(set(folds.tolist())), len(shape.split.learning)
    said = f"its folds share rows to learn from, which widens it {_times(factor)}"
    if run == there:
        return said
    whole = shape.split.width_factor()
    rows = f"{folds.size:,} of {len(shape.split.scored):,} rows"
    return f"{run} of {there} folds were run ({rows}); {said} ({_times(whole)} with all folds)"


def _scatter(column: Column, values: Array, folds: Array) -> list[str]:
    """Return that folds differ by more than chance, with the means of the folds by choice where
    that differs as well: the prompt, or the epoch that was kept."""
    made: dict[str, list[int]] = {}
    texts: dict[tuple[str | None, str | None], int] = {}
    for run in best_by_fold(column.runs):
        made.setdefault(_choice(run, texts), []).append(run.fold or 0)

    def means(some: Sequence[int]) -> str:
        return ", ".join(_score(values[folds == fold].mean()) for fold in some)

    said = "its folds differ by more than their rows explain"
    if len(made) < 2:
        return [f"{said}: {means(sorted(set(folds.tolist())))}"]
    return [f"{said}, as the choice did: {'; '.join(f'{k} {means(v)}' for k, v in made.items())}"]


def _choice(run: Run, texts: dict[tuple[str | None, str | None], int]) -> str:
    """Return what was chosen for a fold, in words that tell it from another choice.

    `texts` numbers the wordings that a search found, fold by fold.
    """
    recipe, parts = run.recipe, []
    if recipe is not None:
        parts.append(KINDS[recipe.kind].format(k=recipe.k))
        words = (recipe.specification, recipe.reminder)
        if words != (None, None):
            parts.append(f"searched words {texts.setdefault(words, len(texts) + 1)}")
    if "chosen" in (run.trace or {}):
        parts.append(f"epoch {(run.trace or {})['chosen']}")
    return ", ".join(parts)


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times"


def _score(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")
