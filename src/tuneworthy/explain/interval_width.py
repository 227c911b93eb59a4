"""Explain why a score's interval is wide, from the study's own records. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.design import CHOSEN_ARM_LEVEL, Design, Fit, Values, split_factor
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.ladder import best_by_fold
from tuneworthy.records.counting import count_noun, points, score_text
from tuneworthy.records.evidence import Interval
from tuneworthy.records.run import Run

# An interval is explained if it is wider than under independent rows by more than this factor.
EXPLAINED_RATIO = 1.15
_REASON_RATIO = 1.03  # a reason is reported if it widens the interval by more than this factor
FEW_ROWS_WIDTH = 0.2  # the rows are called few if independent rows leave it wider than this
_PROMPT_KINDS = {
    "zero": "the plain instruction", "short": "the instruction alone", "file": "your own prompt",
    "few": "{k} fixed examples", "nearest": "the {k} nearest examples",
}  # fmt: skip

Array = np.ndarray[Any, Any]


def why_wide(
    inputs: ComparisonInputs, column: Column, ids: Sequence[str], score: Interval, rivals: int
) -> tuple[str, ...]:
    """Return sentences on why an interval is wider than under independent rows, () if it is not.

    The first line says by how much. The reasons follow in the order in which they are applied,
    each measured against the interval without it. `rivals` counts the arms of its tool, itself
    included.
    """
    graded, fit = inputs.graded_rows(column, ids), column.fit(inputs.split)
    known = graded.known if graded is not None else None
    values = column.values(ids) if known is None else known
    folds = np.array([column.fold[i] for i in ids])
    factor = 1.0 if fit is None else fit.width(ids)[0]
    scores = dict(zip(ids, values.tolist(), strict=True))
    alone = Design.independent("what the width would be")
    widths = [_width(alone, scores), _width(inputs.design, scores)]
    widths += [widths[1] if fit is None else _width(inputs.design, scores, fit, only_factor=True)]
    if fit is not None and factor > 1:
        widths += [_width(inputs.design, scores, one) for one in (replace(fit, retrained=0.0), fit)]
    sizes = [*widths, score.high - score.low]
    plain, total = sizes[0], sizes[-1]
    if not plain or total <= EXPLAINED_RATIO * plain:
        return ()
    if graded is not None and graded.known is None:
        return (
            _width_sentence(total, plain, len(ids)),
            "a judge's scores stand on the few that you graded",
            *_lacking_sentence(graded.lacking),
        )
    grows = [after > _REASON_RATIO * before for before, after in pairwise(sizes)]
    reasons = [_width_sentence(total, plain, len(ids))]
    if grows[0]:
        worth = len(ids) * (sizes[0] / sizes[1]) ** 2
        reasons.append(f"its rows come in groups and are worth {worth:,.0f} independent ones")
    if factor > 1 and grows[1]:
        reasons.append(_shared_rows_sentence(inputs, folds, factor))
    if factor > 1 and grows[2]:
        reasons += _fold_differences(column, values, folds)
    if fit is not None and factor > 1 and grows[3]:
        reasons.append(f"one training to the next is taken to differ by {points(fit.retrained)}")
    if grows[-1] and rivals > 1:
        reasons.append(
            f"it was chosen among {rivals} arms of its tool, which its lower end allows for"
        )
    if plain > FEW_ROWS_WIDTH:
        reasons.append("rows are few as well")
    return tuple(reasons)


def _width(
    design: Design, scores: Values, fit: Fit | None = None, only_factor: bool = False
) -> float:
    mean = design.mean(scores, CHOSEN_ARM_LEVEL, fit, scatter=not only_factor)
    return mean.high - mean.low


def _width_sentence(total: float, plain: float, n: int) -> str:
    rows = count_noun(n, "independent row")
    width = f"{points(total)} wide, {_times_text(total / plain)} as wide as {rows} would leave it"
    return f"{width} ({points(plain)})"


def _lacking_sentence(lacking: int) -> list[str]:
    """Return [sentence on how many cases' answers by this arm no human graded]; [] for 0."""
    if not lacking:
        return []
    return [
        f"{count_noun(lacking, 'case')} with a human grade lack one for this arm's answer:"
        " it counts as 0 at the low end and as 1 at the high end"
    ]


def _shared_rows_sentence(inputs: ComparisonInputs, folds: Array, factor: float) -> str:
    """Return a clause on how far training rows shared by folds widen the interval."""
    run, available = len(set(folds.tolist())), len(inputs.split.learning)
    said = f"its folds share rows to learn from, which widens it {_times_text(factor)}"
    if run == available:
        return said
    all_folds = split_factor(inputs.split)
    rows = f"{folds.size:,} of {len(inputs.split.scored):,} rows"
    widest = _times_text(all_folds)
    return f"{run} of {available} folds were run ({rows}); {said} ({widest} with all folds)"


def _fold_differences(column: Column, values: Array, folds: Array) -> list[str]:
    """Return [sentence that folds differ by more than chance, with the mean score of each].

    Fold means are grouped by the chosen prompt or epoch if the choice differs between folds.
    """
    folds_by_choice: dict[str, list[int]] = {}
    texts: dict[tuple[str | None, str | None], int] = {}
    for run in best_by_fold(column.runs):
        folds_by_choice.setdefault(_choice_label(run, texts), []).append(run.fold or 0)

    def means(group: Sequence[int]) -> str:
        return ", ".join(score_text(values[folds == fold].mean()) for fold in group)

    said = "its folds differ by more than their rows explain"
    if len(folds_by_choice) < 2:
        return [f"{said}: {means(sorted(set(folds.tolist())))}"]
    groups = "; ".join(f"{k} {means(v)}" for k, v in folds_by_choice.items())
    return [f"{said}, as the choice did: {groups}"]


def _choice_label(run: Run, texts: dict[tuple[str | None, str | None], int]) -> str:
    """Return text such as "3 fixed examples, epoch 2": the prompt and epoch chosen in a fold.

    `texts` numbers the wordings that a prompt search found, in fold order; it is updated.
    """
    recipe, parts = run.recipe, []
    if recipe is not None:
        parts.append(_PROMPT_KINDS[recipe.kind].format(k=recipe.k))
        words = (recipe.specification, recipe.reminder)
        if words != (None, None):
            parts.append(f"searched words {texts.setdefault(words, len(texts) + 1)}")
    if "chosen" in (run.trace or {}):
        parts.append(f"epoch {(run.trace or {})['chosen']}")
    return ", ".join(parts)


def _times_text(ratio: float) -> str:
    return f"{ratio:.3g} times"
