"""Does what the task needs to know change slowly enough for retraining?"""

from __future__ import annotations

from functools import partial
from itertools import permutations
from math import expm1, log1p

from tuneworthy.explain.questions._findings import (
    MONEY_KEYS,
    SIMPLER_TOOLS,
    finalists,
    finding,
    monthly_retraining_cost,
    pair_of,
    rows_needed,
    ticked,
    unmeasured,
)
from tuneworthy.records.counting import percent, points
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.further import Freshness, Proportion
from tuneworthy.records.interval import Interval
from tuneworthy.records.split import TREND_ALPHA
from tuneworthy.records.task import CENTURY, TRAINED_TOOLS, Task
from tuneworthy.records.verdict import Finding

QUESTION = "Does knowledge change slowly enough for retraining?"
PRIOR = None
WRONG = (
    "What changes often stands in the weights until the next training: keep it in documents that"
    " are looked up."
)
UNIT = "days"
_RETRIEVE_FACTS = "look facts up instead: data.docs, with dates"
_WHO_KNOWS = "no row tells it, but whoever keeps the facts or rules behind the answers can"
_WRITE_LINE = (
    "write one line into task.yaml: `knowledge: {changed_share: 0.03, over: 30d}` says that 3 % of"
    " what answers rest on changes in 30 days, a share of 0 that nothing does"
)
_finding = partial(finding, "knowledge_still", PRIOR)


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer yes if a training is shown to last 90 days, no if it is shown not to.

    No as well if a tuned arm ignores changed passages, or its lead is shown to fall over time.
    `value` is the number of days after which more than the allowed share of facts is stale.
    """
    stale = evidence.staleness or Freshness()
    days = stale.days
    if why := _unfaithful(evidence, stale) or _aged(evidence):
        return _finding("no", why, _RETRIEVE_FACTS, days)
    if days is None:
        keys = "no document is dated, and task.yaml has no whole `knowledge:`"
        why = unmeasured(evidence.missing, "staleness", stale.because or keys)
        return _finding("not_measured", f"{why}; {_WHO_KNOWS}", _WRITE_LINE)
    said = _days_text(stale, days)
    if days.high < _LASTING_DAYS:
        because = f"{said}: a training lasts less than {_LASTING_DAYS} days"
        return _finding("no", because, _RETRIEVE_FACTS, days)
    if why := _too_dear(evidence, task, days.high):
        return _finding("no", f"{why}; {said}", _RETRIEVE_FACTS, days)
    if days.low >= _LASTING_DAYS:
        step = f"let the model expire after {days.low:,.0f} days" if days.low < CENTURY else ""
        return _finding("yes", f"{said}: a training lasts {_LASTING_DAYS} days or more", step, days)
    need = facts_needed(stale)
    rows = f"needs about {need:,} dated facts" if need else f"it lies at {_LASTING_DAYS} days"
    step = f"train again every {days.low:,.0f} days, or give more passages their dates (from, to)"
    return _finding("not_measured", f"too small: {rows}; {said}", step, days)


def _days_text(stale: Freshness, days: Interval) -> str:
    if stale.declared and days.low >= CENTURY:
        return "nothing that answers rest on changes, as you wrote it down"
    of = "as you wrote it down" if stale.declared else f"{days.low:,.0f} to {days.high:,.0f}"
    n = f"; n = {stale.changed.n:,} facts" if stale.changed and not stale.declared else ""
    return (
        f"after {days.mean:,.0f} days ({of}{n}) more than {percent(stale.stale_ok)} of the facts"
        f" are stale"
    )


_LASTING_DAYS = 90  # default: the days that a training must last (a quarter)

_LEAST_FAITHFUL = 0.9  # default: share of changed facts answered as the passage says


def _unfaithful(evidence: Evidence, stale: Freshness) -> str:
    """Return a clause on a tuned arm shown to ignore changed passages too often, or ""."""
    tuned = {arm.name for arm in evidence.arms if arm.tool in TRAINED_TOOLS}
    for name, share in sorted(stale.faithful.items()):
        if name in tuned and share.high < _LEAST_FAITHFUL:
            return (
                f"{ticked(name)} follows the passage on {share.k:,} of {share.n:,} changed facts"
                f" (at most {percent(share.high)})"
            )
    return ""


def _aged(evidence: Evidence) -> str:
    """Return a clause on a tuned arm whose lead over an untrained one is shown to fall over time.

    "" if none is; the level is divided among all such pairs (Bonferroni).
    """
    tuned = {arm.name for arm in evidence.arms if arm.tool in TRAINED_TOOLS}
    tests = [
        trend.seen_from(one)
        for trend in evidence.trends
        for one, other in permutations((trend.arm, trend.versus))
        if trend.p is not None and one in tuned and other not in tuned
    ]
    for trend in tests:
        if (trend.p or 0.0) > TREND_ALPHA / len(tests) or not (trend.before and trend.after):
            continue
        before, after = trend.before.lead, trend.after.lead
        if after < before:
            return (
                f"{ticked(trend.arm)} minus {ticked(trend.versus)} fell over the time of these"
                f" rows, from {points(before)} to {points(after)} (p = {trend.p:.2g})"
            )
    return ""


def _too_dear(evidence: Evidence, task: Task, days: float) -> str:
    """Return a clause if retraining every `days` days costs more than it can bring, else "".

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
    limit = -expm1(stale.over_days * log1p(-stale.stale_ok) / _LASTING_DAYS)
    return rows_needed(_StalenessBounds(changed), changed.n, limit, limit)


class _StalenessBounds:
    """A share with the attributes of a mean with bounds: `mean`, `low`, `high`."""

    def __init__(self, share: Proportion) -> None:
        self.mean, self.low, self.high = share.share, share.low, share.high
