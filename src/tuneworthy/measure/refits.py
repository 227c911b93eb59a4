"""Fit cheap arms again on other splits of the rows, to see how much a row's score varies.

An arm whose rows keep their scores whatever else it was fitted on needs less width for its folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tuneworthy.matrix.columns import Column, by_spec, column
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.units import measure
from tuneworthy.metrics import JUDGE, metric_name
from tuneworthy.records.arm import Recipe
from tuneworthy.records.plan import Plan
from tuneworthy.records.run import Run
from tuneworthy.records.specs import tunes_encoder
from tuneworthy.rows.folds import split
from tuneworthy.rows.load import Loaded

_FURTHER_PARTITIONS = 2  # further partitions
_MOST_ROWS = 2000  # with more scored rows nothing is fitted again: the fallback costs little then
_CHEAP_TOOL = "classifier"


def score_variances(
    runner: Runner, loaded: Loaded, plan: Plan, runs: Sequence[Run]
) -> dict[str, float]:
    """Return {arm: mean variance of a row's score over three random partitions into folds}.

    Of cheap arms alone, measured on all folds; {} where rows are in groups, in order of time, or
    not in folds, for which the figure is not known to narrow a bound, and where a judge scores.
    """
    parts, judged = runner.split, metric_name(runner.task) == JUDGE
    if len(parts.learning) < 2 or parts.by_time or parts.groups or judged:
        return {}
    found: dict[str, float] = {}
    planned = {arm.spec.name: arm for arm in plan.arms}
    for name, own in by_spec(runs).items():
        arm, first = planned.get(name), column(own)
        if arm is None or first is None or not _is_cheap(first, len(parts.scored)):
            continue
        ids = sorted(first.cells)
        scores = [first.values(ids)]
        for number in range(1, _FURTHER_PARTITIONS + 1):
            task = loaded.task.model_copy(update={"seed": loaded.task.seed + 7919 * number})
            other = replace(runner, split=split(replace(loaded, task=task)), timed=False,
                            say=lambda text: None, done=lambda answers: None)  # fmt: skip
            recipes = [Recipe()] * len(other.split.parts)
            again = column(measure(other, arm, recipes, dev=False))
            if again is not None and set(again.cells) == set(first.cells):
                scores.append(again.values(ids))
        if len(scores) > _FURTHER_PARTITIONS:
            found[name] = round(float(np.var(scores, axis=0, ddof=1).mean()), 6)
    return found


def _is_cheap(one: Column, scored: int) -> bool:
    """Return whether an arm learns in seconds and answered all scored rows."""
    tool, candidate = one.spec.tool == _CHEAP_TOOL, one.spec.role == "candidate"
    cheap = tool and candidate and one.learned and not tunes_encoder(one.spec)
    return cheap and len(one.cells) == scored <= _MOST_ROWS
