"""Find the margin, value, volume, price or retraining interval at which another arm is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import sqrt
from typing import Any, Literal

from tuneworthy.matrix.ladder import IN_BETWEEN
from tuneworthy.records.escape import quoted
from tuneworthy.records.evidence import ArmResult, Policy
from tuneworthy.records.task import TRAINED_TOOLS
from tuneworthy.records.verdict import ByMargin
from tuneworthy.verdict.prices import Prices, known_prices
from tuneworthy.verdict.rule import LadderDecision, LadderScenarios, apply_rule
from tuneworthy.verdict.rungs import Ladder

PriceKey = Literal["value_of_correct", "requests_per_month"]
MARGIN_GRID = tuple(points / 100 for points in range(21))
DAYS_PER_MONTH = 30.0
_PRICE_FACTOR = 20  # a price is varied from its own / 20 to its own * 20


@dataclass(frozen=True)
class PriceInterval:
    """An open interval of a price over which the ruling is the same."""

    low: float
    high: float | None
    ruling: LadderDecision


def at_margin(policy: Policy, margin: float) -> Policy:
    """Return the policy with this margin, as if the user had written it."""
    return policy.model_copy(update={"margin": margin, "margin_is_default": False})


def rulings_by_margin(scenarios: LadderScenarios, policy: Policy) -> tuple[ByMargin, ...]:
    """Return a `ByMargin` (use, arm, status) for every margin from 0 to 20 points."""
    out = []
    for margin in MARGIN_GRID:
        ruling = apply_rule(scenarios, at_margin(policy, margin))
        use, arm = ruling.use_and_name
        out.append(ByMargin(margin=margin, use=use, arm=arm, status=ruling.status))
    return tuple(out)


def flips(
    scenarios: LadderScenarios, policy: Policy, at_margins: tuple[ByMargin, ...]
) -> tuple[dict[str, Any], ...]:
    """Return a dict for each value of margin, price or retraining days where the name changes."""
    out: list[dict[str, Any]] = []
    for old, new in pairwise(at_margins):
        if (old.use, old.arm) != (new.use, new.arm):
            out.append({"input": "margin", "at": new.margin, "below": old.use, "above": new.use,
                        "arm": new.arm})  # fmt: skip
    if not scenarios.evidence.blocks:
        keys: tuple[PriceKey, ...] = ("value_of_correct", "requests_per_month")
        intervals: list[tuple[dict[str, str], list[PriceInterval]]] = [
            ({"input": key}, rulings_by_key(scenarios, policy, key)) for key in keys
        ]
        intervals.append(({"input": "retrain_days"}, _rulings_by_retrain_days(scenarios, policy)))
        for arm in scenarios.seen.order:
            about = {"input": "usd_per_1k", "of": arm.name}
            intervals.append((about, _rulings_by_price(scenarios, policy, arm)))
        out += [{**about, **flip} for about, parts in intervals for flip in _flips_between(parts)]
    return tuple({**flip, "says": _flip_sentence(flip)} for flip in out)


def _flips_between(parts: Sequence[PriceInterval]) -> Iterator[dict[str, Any]]:
    for before, after in pairwise(parts):
        if before.ruling.use_and_name != after.ruling.use_and_name:
            use, arm = after.ruling.use_and_name
            yield {"at": after.low, "below": before.ruling.use, "above": use, "arm": arm}


def _flip_sentence(flip: Mapping[str, Any]) -> str:
    """Return a clause for the user: from which value of which input another arm is named."""
    at = flip["at"]
    money = f"${at:,.0f}" if at >= 100 else f"${at:.3g}"
    where = {
        "margin": f"with a margin of {100 * at:.3g} points or more",
        "value_of_correct": f"where one more right answer is worth more than {money}",
        "requests_per_month": f"above {at:,.0f} requests a month",
        "retrain_days": f"where a tuned model lasts more than {at:,.0f} days until it is retrained",
        "usd_per_1k": f"where `{quoted(str(flip.get('of')), 60)}` costs more than {money} "
        "per 1,000 requests",
    }[flip["input"]]
    arm = f" (`{quoted(flip['arm'], 60)}`)" if flip["arm"] else ""
    return f"{where}: {flip['above']}{arm}; below that: {flip['below']}"


def rulings_by_key(
    scenarios: LadderScenarios, policy: Policy, key: PriceKey
) -> list[PriceInterval]:
    """Return intervals of `key` (value or volume) with the ruling on each, the other price fixed.

    Every condition of the rule compares a bound with a term in 1/price, so the values at which
    anything changes are known in closed form; one evaluation between each two of them is enough.
    Empty if the other price or a rung's costs are unknown.
    """
    varied = policy.model_copy(update={key: getattr(policy, key) or 1.0})
    if not known_prices(scenarios.seen.rivals, varied) or policy.motive != "quality":
        return []
    turning_of = _turning_values if key == "value_of_correct" else _turning_volumes
    return _rulings_between(
        (at for priced in _priced_ladders(scenarios, varied) for at in turning_of(*priced)),
        lambda at: apply_rule(scenarios, policy.model_copy(update={key: at})),
        (0.0, None),
    )


def _rulings_by_retrain_days(scenarios: LadderScenarios, policy: Policy) -> list[PriceInterval]:
    """Return intervals of the days until retraining with the ruling on each; [] if none decide.

    From one day to the horizon; upkeep is linear in 30/days. [] if nothing is retrained, or if
    prices do not decide.
    """
    rivals = [arm for ladder in scenarios.ladders for arm in ladder.rivals]
    seen = known_prices(scenarios.seen.rivals, policy)
    again = {arm.name: arm.retrain_usd or 0.0 for arm in rivals if arm.tool in TRAINED_TOOLS}
    if seen is None or policy.motive != "quality" or not any(again.values()):
        return []
    fixed = {arm.name: _upkeep_without_retraining(arm) for arm in rivals}

    def turning(ladder: Ladder, prices: Prices) -> Iterator[float]:
        for b, s in _considered_climbs(ladder):
            each = again.get(b.name, 0.0) - again.get(s.name, 0.0)
            rest = prices.monthly(b.name, s.name)
            rest += fixed[b.name] - prices.upkeep[b.name] - fixed[s.name] + prices.upkeep[s.name]
            shift = prices.shift(b.name, s.name)
            for height in [prices.margin_by_user, *(bound + shift for bound in ladder.bound(b, s))]:
                times = (height * prices.value * prices.volume - rest) / each if each else 0.0
                if times > 0:
                    yield DAYS_PER_MONTH / times

    def ruled(days: float) -> LadderDecision:
        arms = {
            name: {
                "upkeep_usd_month": fixed[name] + DAYS_PER_MONTH / days * each,
                "retrain_days": days,
            }
            for name, each in again.items()
        }
        return apply_rule(_with_costs(scenarios, arms), policy)

    cuts = (at for priced in _priced_ladders(scenarios, policy) for at in turning(*priced))
    return _rulings_between(cuts, ruled, (1.0, policy.horizon_months * DAYS_PER_MONTH))


def _rulings_by_price(
    scenarios: LadderScenarios, policy: Policy, arm: ArmResult
) -> list[PriceInterval]:
    """Return price intervals (1/20 to 20 times the arm's per 1,000 requests) with their rulings.

    [] if its price is 0 or unknown, or if prices do not decide.
    """
    rivals = scenarios.seen.rivals
    prices = known_prices(rivals, policy)
    if not arm.usd_per_1k or (prices is None and policy.motive == "quality"):
        return []
    turning = [other.usd_per_1k or 0.0 for other in rivals if other.name != arm.name]
    if prices is not None and policy.motive == "quality":
        turning = [at for one in _priced_ladders(scenarios, policy)
                   for at in _turning_prices(*one, arm)]  # fmt: skip

    def ruled(price: float) -> LadderDecision:
        costs = {arm.name: {"usd_per_1k": price}}
        return apply_rule(_with_costs(scenarios, costs), policy)

    return _rulings_between(
        turning, ruled, (arm.usd_per_1k / _PRICE_FACTOR, arm.usd_per_1k * _PRICE_FACTOR)
    )


def _priced_ladders(scenarios: LadderScenarios, policy: Policy) -> Iterator[tuple[Ladder, Prices]]:
    """Yield each scenario's ladder with its own prices; without those where a price is unknown.

    A scenario may hold an arm that the ladder as scored leaves out: one below the floor, say.
    """
    for ladder in scenarios.ladders:
        if prices := known_prices(ladder.rivals, policy):
            yield ladder, prices


def _considered_climbs(ladder: Ladder) -> Iterator[tuple[ArmResult, ArmResult]]:
    """Yield (b, s) for every climb that the rule considers: from a rung s to any other arm b."""
    return ((b, s) for b in ladder.rivals for s in ladder.order if b.name != s.name)


def _with_costs(
    scenarios: LadderScenarios, arms: Mapping[str, Mapping[str, Any]]
) -> LadderScenarios:
    """Return the scenarios with other costs (fields by arm name) for some arms."""

    def other(arm: ArmResult) -> ArmResult:
        return arm.model_copy(update=dict(arms.get(arm.name, {})))

    def changed(ladder: Ladder) -> Ladder:
        today = other(ladder.present) if ladder.present else None
        rungs, others = (tuple(map(other, arms)) for arms in (ladder.order, ladder.others))
        return replace(ladder, order=rungs, others=others, present=today)

    return scenarios.with_ladders(changed)


def _upkeep_without_retraining(arm: ArmResult) -> float:
    """Return an arm's monthly upkeep in dollars, its retraining taken off."""
    upkeep = arm.upkeep_usd_month or 0.0
    return (
        upkeep - DAYS_PER_MONTH / arm.retrain_days * (arm.retrain_usd or 0.0)
        if arm.retrain_days
        else upkeep
    )


def _rulings_between(
    turning: Iterable[float],
    ruled: Callable[[float], LadderDecision],
    within: tuple[float, float | None],
) -> list[PriceInterval]:
    """Return intervals from cut to cut with the ruling at a point inside; like ones merged."""
    first, end = within
    most = 1e15 if end is None else end
    cuts = sorted({float(f"{cut:.12g}") for cut in turning if first < cut < most})
    merged: list[PriceInterval] = []
    for low, high in zip([first, *cuts], [*cuts, end], strict=True):
        ruling = ruled(_point_inside(low, high))
        last = merged[-1] if merged else None
        if last and (*last.ruling.use_and_name, last.ruling.status) == (
            *ruling.use_and_name,
            ruling.status,
        ):
            merged[-1] = PriceInterval(last.low, high, ruling)
        else:
            merged.append(PriceInterval(low, high, ruling))
    return merged


def _point_inside(low: float, high: float | None) -> float:
    if high is None:
        return 2 * low or 1.0
    return sqrt(low * high) or high / 2


def _turning_values(ladder: Ladder, prices: Prices) -> Iterator[float]:
    """Yield the dollars that a right answer is worth at which a ruling can change.

    There mean, low or high of q_b - dc/v - q_s is 0, the written margin, or monthly/(v V); or b
    gains IN_BETWEEN of what another arm gains over s.
    """
    written = prices.margin_by_user
    for b, s in _considered_climbs(ladder):
        dearer = prices.cost[b.name] - prices.cost[s.name]
        upkeep = prices.monthly(b.name, s.name) / prices.volume
        terms = [(upkeep, written)]
        for bound in ladder.bound(b, s):
            terms += [(dearer, bound), (dearer, bound - written), (dearer + upkeep, bound)]
        terms += [
            (dearer - IN_BETWEEN * (prices.cost[best.name] - prices.cost[s.name]),
             ladder.bound(b, s)[0] - IN_BETWEEN * ladder.bound(best, s)[0])
            for best in ladder.rivals if best.name not in (b.name, s.name)
        ]  # fmt: skip
        yield from (above / below for above, below in terms if below)


def _turning_prices(ladder: Ladder, prices: Prices, arm: ArmResult) -> Iterator[float]:
    """Yield the dollars per 1,000 requests of `arm` at which a ruling can change.

    A gain of b over s, after prices, is worth `gain(b, s)` dollars a request where the arm is free,
    and falls with its price if b is the arm, rises if s is. It turns at 0, at the margins, and
    where b gains IN_BETWEEN of what another arm gains over s.
    """
    cost = {**prices.cost, arm.name: 0.0}

    def gain(b: ArmResult, s: ArmResult, bound: float) -> float:
        return prices.value * bound - cost[b.name] + cost[s.name]

    def slope(b: ArmResult, s: ArmResult) -> float:
        return float(s.name == arm.name) - float(b.name == arm.name)

    for b, s in _considered_climbs(ladder):
        mean, *ends = ladder.bound(b, s)
        heights = (0.0, prices.margin_by_user, prices.margin(s.name, b.name))
        terms = [(gain(b, s, bound) - prices.value * height, slope(b, s))
                 for bound in (mean, *ends) for height in heights]  # fmt: skip
        terms += [
            (gain(b, s, mean) - IN_BETWEEN * gain(best, s, ladder.bound(best, s)[0]),
             slope(b, s) - IN_BETWEEN * slope(best, s))
            for best in ladder.rivals if best.name not in (b.name, s.name)
        ]  # fmt: skip
        yield from (-1000 * free / each for free, each in terms if each)


def _turning_volumes(ladder: Ladder, prices: Prices) -> Iterator[float]:
    """Yield the requests a month V at which a ruling can change.

    There monthly / (v V) is a bound of u_b - u_s, or the written margin.
    """
    for b, s in _considered_climbs(ladder):
        upkeep = prices.monthly(b.name, s.name) / prices.value
        shift = prices.shift(b.name, s.name)
        heights = [prices.margin_by_user, *(bound + shift for bound in ladder.bound(b, s))]
        yield from (upkeep / height for height in heights if height)
