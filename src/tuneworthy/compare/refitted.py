"""Bound the difference of one arm in two studies, in which it was fitted anew. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np

from tuneworthy.compare.columns import by_spec
from tuneworthy.core.results import Results
from tuneworthy.core.split import Split
from tuneworthy.core.task import TRAINED_TOOLS
from tuneworthy.stats import bounds
from tuneworthy.stats.bounds import Bound
from tuneworthy.stats.clusters import RETRAINING_SD, Folds


@dataclass(frozen=True)
class FittedArm:
    """The fold of each case that a fitted arm answered, and its assumed sd between retrainings.

    `split` is that of its study; None in results of 0.1.0, whose folds are taken as equal.
    """

    fold: dict[str, int]
    retraining_sd: float
    split: Split | None

    def factor(self, folds: Sequence[int]) -> float:
        """Return the width factor of these folds, as within a study; 1 for a single split."""
        if self.split is not None:
            return self.split.width_factor(folds)
        count = len(set(self.fold.values()))
        return bounds.width_factor(len(set(folds)), 1, max(1, count - 1))


def fitted_arms(results: Results) -> dict[str, FittedArm]:
    """Return the candidates of a study that learn from rows, by name."""
    found: dict[str, FittedArm] = {}
    for name, runs in by_spec(results.runs).items():
        done = [run for run in runs if run.state == "measured"]
        if runs[0].spec.role == "candidate" and any(run.learned for run in done):
            sd = RETRAINING_SD if runs[0].spec.tool in TRAINED_TOOLS else 0.0
            folds = {answer.case: run.fold or 0 for run in done for answer in run.answers}
            found[name] = FittedArm(folds, sd, results.split)
    return found


def refitted_bound(
    diffs: Any, ids: Sequence[str], groups: Any, level: float, fitted: Iterable[FittedArm | None]
) -> tuple[Bound, float]:
    """Return the bound of the mean difference on these cases, and its width factor.

    `fitted` are the arms that were fitted, of either study. Their folds may differ between the
    studies, so the bound is the wider one of both. Both trainings vary: their variances add up.
    """
    arms = [arm for arm in fitted if arm is not None]
    sd = hypot(*(arm.retraining_sd for arm in arms))
    widest, factor = bounds.paired(diffs, level, groups=groups), 1.0
    for arm in arms:
        folds = [arm.fold[i] for i in ids]
        own = arm.factor(folds)
        if own > 1:
            found = bounds.paired(
                diffs, level, factor=own, groups=groups, folds=Folds(np.array(folds), sd)
            )
            low, high = min(widest.low, found.low), max(widest.high, found.high)
            widest, factor = widest._replace(low=low, high=high), max(factor, own)
    return widest, factor
