"""Read the user's part of the decision rule from the task; nothing here is measured."""

from __future__ import annotations

from tuneworthy.core.evidence import Policy
from tuneworthy.core.task import Task


def policy_of(task: Task) -> Policy:
    """Return the user's part of the rule from a task: margin, motive, target, limits, prices."""
    success, money = task.success, task.economics
    return Policy(
        margin=success.margin,
        motive=success.motive,
        target=success.target,
        floor=success.floor,
        limits=success.limits,
        requests_per_month=money.requests_per_month,
        value_of_correct=money.value_of_correct,
        label_each=money.label_each,
        horizon_months=money.horizon_months,
        margin_is_default="margin" not in success.model_fields_set,
    )
