"""How far each arm's answers are from the style of the right ones; no model is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from tuneworthy.core.case import Case
from tuneworthy.core.interval import Interval
from tuneworthy.core.run import Run
from tuneworthy.core.style import Style
from tuneworthy.core.task import Task
from tuneworthy.metrics._style import LEAST, control, told_apart

DRAWS = 5
SHORTEST = 20  # characters that half of the right answers have at least


def styles(task: Task, cases: Sequence[Case], runs: Sequence[Run]) -> tuple[Style, ...] | str:
    """Return one record an arm of a task with free text, in the order of the runs, or why none.

    Each fold of the first seed is told apart by itself, as `style_match` scores it, and the folds
    are averaged by their answers. Placebos and pilots are left out.
    """
    if task.output.type != "text":
        return "the answers are no free text"
    gold = {case.id: case.output for case in cases}
    if median(map(len, gold.values())) < SHORTEST:
        return f"half of the right answers have fewer than {SHORTEST} characters: no style shows"
    chance = _control([gold[i] for i in sorted(gold)], task.seed)
    arms: dict[str, list[Run]] = {}
    for run in runs:
        whole = run.spec.role in ("candidate", "reference") and not run.spec.of
        if whole and run.state == "measured" and run.seed == task.seed:
            arms.setdefault(run.spec.name, []).append(run)
    return tuple(_style(name, folds, gold, chance) for name, folds in arms.items())


def _style(
    name: str, folds: Sequence[Run], gold: Mapping[str, str], chance: Interval | None
) -> Style:
    found = []
    for run in folds:
        said = {a.case: a.text for a in run.answers if a.error is None and a.text.strip()}
        ids = sorted(set(said) & set(gold))
        if len(ids) >= LEAST:
            apart = told_apart([said[i] for i in ids], [gold[i] for i in ids])
            worth = np.minimum(1, 2 * (1 - np.array(apart.answers))).mean()
            found.append((len(ids), apart.auc, float(worth)))
    if not found:
        why = f"no fold has {LEAST} answers that are not empty"
        return Style(arm=name, n=0, control=chance, because=why)
    sizes, aucs, worths = (np.array(column) for column in zip(*found, strict=True))
    return Style(
        arm=name,
        n=int(sizes.sum()),
        auc=round(float(np.average(aucs, weights=sizes)), 6),
        score=round(float(np.average(worths, weights=sizes)), 6),
        control=chance,
    )


def _control(golds: Sequence[str], seed: int) -> Interval | None:
    """Return mean, least and most AUC of right answers against right ones; None below 20 rows."""
    found = [apart.auc for draw in range(DRAWS) if (apart := control(golds, seed + draw))]
    if not found:
        return None
    mean, low, high = (round(float(f(found)), 6) for f in (np.mean, np.min, np.max))
    return Interval(mean=mean, low=low, high=high)
