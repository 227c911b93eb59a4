"""Find what blocks a verdict: contradictory answers, a broken metric, a single answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuneworthy.core.audit_report import Audit
from tuneworthy.core.case import Case
from tuneworthy.core.task import Task
from tuneworthy.diagnose.metric_ladder import (
    LEAST_GOLD_AUC,
    LEAST_GOLD_MEAN,
    MOST_UNSCORED_GOLD,
    another_row,
    ranking_auc,
    score_of_text,
)  # fmt: skip
from tuneworthy.metrics import Metric

TOLERATED_UNSCORED = 1  # unscored rows that do not block: a metric can time out once


def blocking_reasons(
    task: Task, audit: Audit, cases: Sequence[Case], metric: Metric
) -> tuple[str, ...]:
    """Return the reasons that block a verdict, as sentences; few rows are none of them."""
    reasons = [
        observation.text for observation in audit.observations if observation.level == "blocked"
    ]
    if audit.conflict_share >= task.success.margin:
        share = f"{audit.conflict_share:.0%} of the scored rows"
        reasons.append(f"the same input has contradictory answers in {share}")
    if task.success.judge is None:  # a judge is checked on human grades instead
        reasons += why_metric_is_broken(cases, metric)
    return tuple(dict.fromkeys(reasons))


def why_metric_is_broken(cases: Sequence[Case], metric: Metric) -> list[str]:
    """Return the reason why a metric is broken, judged by its scores of gold answers; [] if not.

    The metric is broken if the mean gold score is below .99, if the AUC of gold against another
    row's gold is below .95, or if more than one row and more than 1 % of the rows get no score.
    """
    if not cases:
        return []
    gold = [score_of_text(metric, case, case.output) for case in cases]
    scored = [score for score in gold if score is not None]
    unscored = len(gold) - len(scored)
    if not scored or unscored > max(TOLERATED_UNSCORED, MOST_UNSCORED_GOLD * len(gold)):
        return [f"the metric gives no score to {unscored} of {len(gold)} gold answers"]
    mean = float(np.mean(scored))
    if mean < LEAST_GOLD_MEAN:
        return [f"the metric is broken: gold answers score {mean:.2f} on average, not 1"]
    auc = ranking_auc(cases, metric, gold, another_row(cases))
    if auc is not None and auc < LEAST_GOLD_AUC:
        return [f"the metric is broken: it tells gold from another row's gold with AUC {auc:.2f}"]
    return []
