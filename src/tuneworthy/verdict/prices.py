"""Compute the effect of prices: the gain that pays for an arm, and the break-even volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.explain.costs import breakeven, paying_margin
from tuneworthy.records.evidence import ArmResult, Policy
from tuneworthy.records.results import Results
from tuneworthy.verdict.rungs import Ladder

COST_KEYS_OF = {
    "usd_per_1k": ("machine_hour",),
    "build_usd": ("hours_to_build", "engineer_hour", "label_each"),
    "upkeep_usd_month": ("hosting_month", "hours_per_retrain"),
}
COST_NAMES = {
    "usd_per_1k": "cost a request",
    "build_usd": f"one-off cost (economics.{', '.join(COST_KEYS_OF['build_usd'])})",
    "upkeep_usd_month": f"monthly upkeep (economics.{', '.join(COST_KEYS_OF['upkeep_usd_month'])})",
}


@dataclass(frozen=True)
class Prices:
    """Costs of the rungs in USD: per request (`cost`), once (`build`), per month (`upkeep`).

    `value` is the value of one more right answer, `volume` requests a month, `months` the horizon,
    `margin_by_user` the margin that the user wrote (0 for the default margin).
    """

    value: float
    volume: float
    months: float
    margin_by_user: float
    cost: dict[str, float]
    build: dict[str, float]
    upkeep: dict[str, float]

    def shift(self, b: str, s: str) -> float:
        """Return b's saving per request against s, in right answers; below 0 if b is dearer."""
        return (self.cost[s] - self.cost[b]) / self.value

    def monthly(self, b: str, s: str) -> float:
        """Return how many dollars more b costs a month than s, without requests."""
        once = (self.build[b] - self.build[s]) / self.months
        return once + self.upkeep[b] - self.upkeep[s]

    def margin(self, s: str, b: str) -> float:
        """Return the gain in right answers that pays for the climb from s to b."""
        once, monthly = self.build[b] - self.build[s], self.upkeep[b] - self.upkeep[s]
        pays = paying_margin(once, self.months, monthly, self.value, self.volume)
        return max(self.margin_by_user, pays)

    def worth(self, gain: float, b: str, s: str) -> float:
        """Return `gain` + b's saving per request - the gain that pays for climbing from s to b."""
        return gain + self.shift(b, s) - self.margin(s, b)


def unknown_costs(order: Sequence[ArmResult]) -> list[str]:
    """Return texts on the costs unknown for any of these arms: "cost a request", …; [] if none."""
    return [text for key, text in COST_NAMES.items() if any(getattr(a, key) is None for a in order)]


def keys_lacking(results: Results) -> str:
    """Return the unset keys of `economics` that pricing the rival needs, comma-separated, or ""."""
    verdict, given = results.verdict, results.task.economics
    if (rival := verdict.economics.get("rival")) is None:
        return ""
    pair = [arm for arm in results.evidence.arms if arm.name in (verdict.arm, rival)]
    unknown = [key for key in COST_KEYS_OF if any(getattr(arm, key) is None for arm in pair)]
    keys = [key for cost in unknown for key in COST_KEYS_OF[cost] if key != "label_each"]
    keys += ["value_of_correct"] if results.task.success.motive != "cost" else []
    lacking = [key for key in keys if getattr(given, key) is None]
    if "usd_per_1k" in unknown and given.machine_hour is not None:
        lacking.insert(0, "prices (of the remote model)")
    return ", ".join(lacking)


def known_prices(order: Sequence[ArmResult], policy: Policy) -> Prices | None:
    """Return the prices of these arms; None if value, volume or an arm's cost is unknown."""
    if not policy.value_of_correct or not policy.requests_per_month or unknown_costs(order):
        return None
    return Prices(
        value=policy.value_of_correct,
        volume=policy.requests_per_month,
        months=policy.horizon_months,
        margin_by_user=0.0 if policy.margin_is_default else policy.margin,
        cost={arm.name: (arm.usd_per_1k or 0.0) / 1000 for arm in order},
        build={arm.name: arm.build_usd or 0.0 for arm in order},
        upkeep={arm.name: arm.upkeep_usd_month or 0.0 for arm in order},
    )


def rival(ladder: Ladder, arm: ArmResult, prices: Prices | None = None) -> ArmResult | None:
    """Return the arm that may beat `arm` by most, in score or (with `prices`) in worth, or None."""

    def most(other: ArmResult) -> float:
        high = ladder.bound(other, arm)[2]
        return prices.worth(high, other.name, arm.name) if prices else high

    return max((one for one in ladder.rivals if one.name != arm.name), key=most, default=None)


def value_of_right_answer(policy: Policy) -> float | None:
    """Return the dollars that one more right answer is worth, or None; 0 if only cost counts."""
    if policy.value_of_correct is None and policy.motive == "cost":
        return 0.0
    return policy.value_of_correct


def monthly_cost(arm: ArmResult, volume: float | None, months: float) -> float | None:
    """Return an arm's monthly cost at a volume: V c + U + F/H; None if a part is unknown."""
    if volume is None or unknown_costs((arm,)):
        return None
    once, each = arm.build_usd or 0.0, (arm.usd_per_1k or 0.0) / 1000
    return volume * each + (arm.upkeep_usd_month or 0.0) + once / months


def break_even(named: ArmResult, rival: ArmResult, gain: float, policy: Policy) -> dict[str, Any]:
    """Return a dict: break-even volume of `rival` against `named`, on which side, costs lacking."""
    lacking, value = unknown_costs((named, rival)), value_of_right_answer(policy)
    if value is None:
        lacking.append("value of a right answer (economics.value_of_correct)")
    out: dict[str, Any] = {
        "break_even_per_month": None, "side": None, "rival": rival.name, "lacking": lacking,
    }  # fmt: skip
    if value is None or lacking:
        return out
    side, volume = breakeven(
        (rival.build_usd or 0.0) - (named.build_usd or 0.0),
        policy.horizon_months,
        (rival.upkeep_usd_month or 0.0) - (named.upkeep_usd_month or 0.0),
        ((named.usd_per_1k or 0.0) - (rival.usd_per_1k or 0.0)) / 1000,
        value,
        gain,
    )
    return {**out, "break_even_per_month": volume, "side": side}
