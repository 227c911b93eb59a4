"""Measure how far each arm's answers are from the style of the right ones. Pure; no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from tuneworthy.core.case import Case
from tuneworthy.core.evidence import Style
from tuneworthy.core.interval import Interval
from tuneworthy.core.run import Run
from tuneworthy.core.task import Task
from tuneworthy.metrics._style import LEAST_PAIRS, separate, separate_halves

CONTROL_DRAWS = 5
SHORTEST_MEDIAN = 20  # the least median length of the right answers, in characters


def styles(task: Task, cases: Sequence[Case], runs: Sequence[Run]) -> tuple[Style, ...] | str:
    """Return a `Style` for each arm, its distance from the right answers; or why none is measured.

    In the order of the runs. The discriminator (as in `style_match`) is fitted
    on each fold of the first seed, and the folds are averaged by their number of answers. Placebos
    and pilots are left out.
    """
    if task.output.type != "text":
        return "the answers are no free text"
    gold = {case.id: case.output for case in cases}
    if median(map(len, gold.values())) < SHORTEST_MEDIAN:
        short = f"half of the right answers have fewer than {SHORTEST_MEDIAN} characters"
        return f"{short}: no style shows"
    chance = _control_auc([gold[i] for i in sorted(gold)], task.seed)
    arms: dict[str, list[Run]] = {}
    for run in runs:
        scored_arm = run.spec.role in ("candidate", "reference") and not run.spec.of
        if scored_arm and run.state == "measured" and run.seed == task.seed:
            arms.setdefault(run.spec.name, []).append(run)
    return tuple(_arm_style(name, folds, gold, chance) for name, folds in arms.items())


def _arm_style(
    name: str, folds: Sequence[Run], gold: Mapping[str, str], chance: Interval | None
) -> Style:
    folds_measured = []
    for run in folds:
        texts = {a.case: a.text for a in run.answers if a.error is None and a.text.strip()}
        ids = sorted(set(texts) & set(gold))
        if len(ids) >= LEAST_PAIRS:
            discriminator = separate([texts[i] for i in ids], [gold[i] for i in ids])
            worth = np.minimum(1, 2 * (1 - np.array(discriminator.answers))).mean()
            folds_measured.append((len(ids), discriminator.auc, float(worth)))
    if not folds_measured:
        why = f"no fold has {LEAST_PAIRS} answers that are not empty"
        return Style(arm=name, n=0, control=chance, because=why)
    sizes, aucs, worths = (np.array(column) for column in zip(*folds_measured, strict=True))
    return Style(
        arm=name,
        n=int(sizes.sum()),
        auc=round(float(np.average(aucs, weights=sizes)), 6),
        score=round(float(np.average(worths, weights=sizes)), 6),
        control=chance,
    )


def _control_auc(golds: Sequence[str], seed: int) -> Interval | None:
    """Return the mean AUC, with least and most, of two halves of the right answers, or None."""
    aucs = [
        discriminator.auc
        for draw in range(CONTROL_DRAWS)
        if (discriminator := separate_halves(golds, seed + draw))
    ]
    if not aucs:
        return None
    mean, low, high = (round(float(f(aucs)), 6) for f in (np.mean, np.min, np.max))
    return Interval(mean=mean, low=low, high=high)
