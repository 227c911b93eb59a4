"""Judge by changing facts how long a training lasts, and which arm ignores new passages."""

from __future__ import annotations

from math import expm1, log1p

from tuneworthy.core.counting import percent, points
from tuneworthy.core.evidence import Evidence
from tuneworthy.core.freshness import Freshness
from tuneworthy.core.known import Proportion
from tuneworthy.core.task import TRAINED_TOOLS, Task
from tuneworthy.questions._arms import SIMPLER_TOOLS, finalists, pair_of, ticked
from tuneworthy.questions._money import MONEY_KEYS, monthly_retraining_cost
from tuneworthy.questions._shown import rows_needed

LASTING_DAYS = 90  # default: the days that a training must last (a quarter)
LEAST_FAITHFUL = 0.9  # default: share of changed facts answered as the passage says


def unfaithful(evidence: Evidence, stale: Freshness) -> str:
    """Return a sentence on a tuned arm shown to ignore changed passages too often, or ""."""
    tuned = {arm.name for arm in evidence.arms if arm.tool in TRAINED_TOOLS}
    for name, share in sorted(stale.faithful.items()):
        if name in tuned and share.high < LEAST_FAITHFUL:
            return (
                f"{ticked(name)} follows the passage on {share.k:,} of {share.n:,} changed facts"
                f" (at most {percent(share.high)})"
            )
    return ""


def too_dear(evidence: Evidence, task: Task, days: float) -> str:
    """Return a sentence if retraining so often is shown to cost more than it brings, else "".

    Compares monthly values at the upper bound of the best tuned arm's gain over a simpler one;
    its requests and right answers are priced, other upkeep is left out.
    """
    cost = monthly_retraining_cost(task, days)
    if cost is None or any(getattr(task.economics, key) is None for key in MONEY_KEYS):
        return ""
    volume, value = task.economics.requests_per_month or 0.0, task.economics.value_of_correct or 0.0
    for other in finalists(evidence, ("keep", *SIMPLER_TOOLS)):
        brings = []
        for arm in finalists(evidence, TRAINED_TOOLS):
            pair = pair_of(evidence, arm.name, other.name)
            if pair is None or arm.usd_per_1k is None or other.usd_per_1k is None:
                break
            saved = (other.usd_per_1k - arm.usd_per_1k) / 1000
            brings.append((volume * (value * pair.high + saved), pair.high))
        else:
            if brings and max(brings)[0] < cost:
                most, gain = max(brings)
                return (
                    f"retraining every {days:,.0f} days costs ${cost:,.0f} a month, and tuning"
                    f" brings ${max(0.0, most):,.0f} at most beside {ticked(other.name)}"
                    f" (+{points(gain)} at most)"
                )
    return ""


def facts_needed(stale: Freshness) -> int | None:
    """Return how many dated facts show whether a training lasts 90 days; None if unknown."""
    changed = stale.changed
    if changed is None or stale.declared or stale.over_days is None:
        return None
    limit = -expm1(stale.over_days * log1p(-stale.stale_ok) / LASTING_DAYS)
    return rows_needed(_StalenessBounds(changed), changed.n, limit, limit)


class _StalenessBounds:
    """Adapter from a share to a mean with bounds."""

    def __init__(self, share: Proportion) -> None:
        self.mean, self.low, self.high = share.share, share.low, share.high
