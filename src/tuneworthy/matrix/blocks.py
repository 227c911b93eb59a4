"""What blocks a verdict: contradictory answers, a broken metric, a single answer. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.audit import Audit
from tuneworthy.core.case import Case
from tuneworthy.core.task import Task

Metric = Callable[[Case, Answer], Score | Unscored]
GOLD_MEAN, GOLD_AUC = 0.99, 0.95


def blocks(task: Task, audit: Audit, cases: Sequence[Case], metric: Metric) -> tuple[str, ...]:
    """Return the reasons that block a verdict; a thin evaluation is none (it widens the bound)."""
    reasons = [seen.text for seen in audit.observations if seen.level == "blocked"]
    if audit.conflict_share >= task.success.margin:
        share = f"{audit.conflict_share:.0%} of the scored rows"
        reasons.append(f"the same input has contradictory answers in {share}")
    reasons += _metric(cases, metric)
    return tuple(dict.fromkeys(reasons))


def _metric(cases: Sequence[Case], metric: Metric) -> list[str]:
    """Check the metric on gold: its own answer scores about 1, another row's answer less.

    decision.md 7.2: broken if gold's mean is below .99, or the AUC of gold against another row's
    gold is below .95.
    """
    own = [_value(metric, case, case.output) for case in cases]
    if any(value is None for value in own):
        lost = sum(value is None for value in own)
        return [f"the metric gives no score to {lost} of {len(own)} gold answers"]
    gold = np.array(own, dtype=float)
    if gold.mean() < GOLD_MEAN:
        return [f"the metric is broken: gold answers score {gold.mean():.2f} on average, not 1"]
    others = random.Random(0).sample(list(cases), len(cases))
    strange = [
        (value, _value(metric, case, other.output) or 0.0)
        for case, other, value in zip(cases, others, gold, strict=True)
        if other.output != case.output and other.output not in case.accepted
    ]
    if len(strange) < 10:
        return []
    auc = float(np.mean([(a > b) + 0.5 * (a == b) for a, b in strange]))
    if auc < GOLD_AUC:
        return [f"the metric is broken: it tells gold from another row's gold with AUC {auc:.2f}"]
    return []


def _value(metric: Metric, case: Case, text: str) -> float | None:
    score = metric(case, Answer(case=case.id, text=text, finish="stop"))
    return score.value if isinstance(score, Score) else None
