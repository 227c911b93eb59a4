"""Compute the monthly net value of an arm minus another's in dollars, with its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuneworthy.compare.costs import breakeven, chance_better
from tuneworthy.core.evidence import ArmResult, Pair
from tuneworthy.core.task import Task

COST_KEYS = {
    "usd_per_1k": "economics.machine_hour or economics.prices",
    "build_usd": "economics.hours_to_build and economics.engineer_hour",
    "upkeep_usd_month": "economics.hours_per_retrain and economics.hosting_month",
}
MONEY_KEYS = ("requests_per_month", "value_of_correct")
DAYS_A_MONTH = 30


@dataclass(frozen=True)
class NetValueDifference:
    """The monthly net value of arm b minus that of arm a (USD), with its standard error.

    `saves` is the part that grows with requests, `se` its standard error; `fixed` is upkeep plus
    one-off cost, a month.
    """

    saves: float
    fixed: float
    se: float

    @property
    def chance(self) -> float:
        """Return the probability that b is worth more."""
        return chance_better(self.saves - self.fixed, self.se)


def missing_keys(task: Task, arms: Sequence[ArmResult]) -> list[str]:
    """Return the unset keys of task.yaml without which these arms have no net value."""
    keys = [f"economics.{key}" for key in MONEY_KEYS if getattr(task.economics, key) is None]
    return keys + [
        text
        for field, text in COST_KEYS.items()
        if any(getattr(arm, field) is None for arm in arms)
    ]


def net_value_difference(task: Task, b: ArmResult, a: ArmResult, pair: Pair) -> NetValueDifference:
    """Return NV_b - NV_a a month; every cost and price must be known (see `missing_keys`).

    NV = V (v q - c) - U - F / H: V requests a month, v the value of a right answer, q the score,
    c the cost of a request, U the upkeep a month, F the one-off cost, H the months. Only q is
    treated as uncertain. `pair` is b - a.
    """
    money = task.economics
    volume, value = money.requests_per_month or 0.0, money.value_of_correct or 0.0
    cheaper = ((a.usd_per_1k or 0.0) - (b.usd_per_1k or 0.0)) / 1000
    once = ((b.build_usd or 0.0) - (a.build_usd or 0.0)) / money.horizon_months
    upkeep = (b.upkeep_usd_month or 0.0) - (a.upkeep_usd_month or 0.0)
    spread = pair.standard_error
    return NetValueDifference(
        saves=volume * (value * pair.mean + cheaper),
        fixed=once + upkeep,
        se=volume * value * spread,
    )


def pays_from(task: Task, b: ArmResult, a: ArmResult, gain: float) -> tuple[str, float | None]:
    """Return (side on which b pays against a, break-even requests a month or None)."""
    return breakeven(
        (b.build_usd or 0.0) - (a.build_usd or 0.0),
        task.economics.horizon_months,
        (b.upkeep_usd_month or 0.0) - (a.upkeep_usd_month or 0.0),
        ((a.usd_per_1k or 0.0) - (b.usd_per_1k or 0.0)) / 1000,
        task.economics.value_of_correct or 0.0,
        gain,
    )


def monthly_retraining_cost(task: Task, days: float) -> float | None:
    """Return the monthly cost of engineers (USD) to retrain every `days` days; None if unknown."""
    money = task.economics
    if money.hours_per_retrain is None or money.engineer_hour is None:
        return None
    return DAYS_A_MONTH / days * money.hours_per_retrain * money.engineer_hour
