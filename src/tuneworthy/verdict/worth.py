"""The economics of the verdict: cost and net value of every rung, break-even, certainty. Pure.

NV(V) = V (v q - c) - U - F/H a month: V requests, v the value of a right answer, q the score, c the
cost of a request, U monthly upkeep, F one-off cost, H months. Every null has a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import hypot
from typing import Any

from tuneworthy.core.escape import quoted
from tuneworthy.core.evidence import ArmResult, Policy
from tuneworthy.core.task import TRAINED_TOOLS
from tuneworthy.stats.economics import chance_better
from tuneworthy.verdict.prices import (
    KEYS,
    break_even,
    cost_of,
    known_prices,
    unknown_costs,
    worth_of_one,
)
from tuneworthy.verdict.rungs import Ladder, rung

VOLUME = "set economics.requests_per_month"
VALUE = "set economics.value_of_correct"
BREAK_EVEN = ("break_even_per_month", "side", "p_net_higher")


def economics(
    board: Ladder, policy: Policy, arm: ArmResult | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the economics of all rungs against the named arm, and {JSON pointer: reason}."""
    known = {
        "/economics/requests_per_month": VOLUME,
        "/economics/value_of_correct": VALUE,
        "/economics/expires": "no announced end is known of the model that it stands on",
    }
    rows = []
    for number, each in enumerate(board.order):
        row, why = _row(board, policy, each, arm)
        rows.append(row)
        known |= {f"/economics/arms/{number}/{key}": text for key, text in why.items()}
    out: dict[str, Any] = {
        "priced": known_prices(board.rivals, policy) is not None,
        "requests_per_month": policy.requests_per_month,
        "value_of_correct": policy.value_of_correct,
        "horizon_months": policy.horizon_months,
        **_against(board, policy, arm, known),
        "arms": rows,
        "assumed": list(_assumed(board, policy)),
        "expires": arm.expires if arm else None,
    }
    if arm is None:
        known["/economics/expires"] = "no arm is named"
    return out, known


def _against(
    board: Ladder, policy: Policy, arm: ArmResult | None, known: dict[str, str]
) -> dict[str, Any]:
    """Return break-even of the named arm against the tuned one (or the next, if that is named)."""
    tuned = next((a for a in reversed(board.order) if a.tool in TRAINED_TOOLS), None)
    why, rival = "", None
    if arm is None or tuned is None:
        why = "no arm is named" if arm is None else "no tuned arm could be named here"
    else:
        rival = tuned if tuned.name != arm.name else _lower(board, arm)
        if policy.motive == "cost" and board.present and board.present.name != arm.name:
            rival = board.present  # the arm that the cheaper one would replace
        why = "" if rival else "no simpler arm to compare with"
    if arm is None or rival is None:
        known |= {f"/economics/{key}": why for key in BREAK_EVEN}
        return {"break_even_per_month": None, "p_net_higher": None}
    money = break_even(arm, rival, board.bound(rival, arm)[0], policy)
    lacking = money.pop("lacking")
    why = f"not known: {', '.join(lacking)}" if lacking else "it pays at no volume"
    if arm.tool is None:
        why = f"the tool of `{quoted(arm.name, 60)}` is not given, so its costs are not known"
    known |= {f"/economics/{key}": why for key in BREAK_EVEN[:2]}
    chance, unsure = _chance(board, policy, rival, arm)
    known["/economics/p_net_higher"] = unsure
    known["/economics/if_upkeep_were_free"] = "the named arm has the highest score"
    return {**money, "p_net_higher": chance, "if_upkeep_were_free": _best_by_score(board, arm)}


def _row(
    board: Ladder, policy: Policy, each: ArmResult, named: ArmResult | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return cost and value of one rung, and the reasons of its nulls."""
    why: dict[str, str] = {}
    lacking = [KEYS[key] for key in KEYS if getattr(each, key) is None]
    monthly = cost_of(each, policy.requests_per_month, policy.horizon_months)
    net, value = None, policy.value_of_correct
    if monthly is None:
        why["cost_per_month"] = _and(lacking, policy.requests_per_month, VOLUME)
        why["total_cost"] = why["net_value_per_month"] = why["cost_per_month"]
    elif value is None:
        why["net_value_per_month"] = VALUE
    else:  # a known monthly cost implies a known volume, and a rung on the board has a score
        right = (policy.requests_per_month or 0.0) * value * _score(board, each, named)
        net = right - monthly
    chance, unsure = None, "this is the arm the others are compared with"
    if named is None:
        unsure = "no arm is named"
    elif each.name != named.name:
        chance, unsure = _chance(board, policy, each, named)
    row = {
        "name": each.name,
        "usd_per_request": None if each.usd_per_1k is None else round(each.usd_per_1k / 1000, 9),
        "build_usd": each.build_usd,
        "upkeep_usd_month": each.upkeep_usd_month,
        "cost_per_month": _cents(monthly),
        "total_cost": None if monthly is None else _cents(monthly * policy.horizon_months),
        "net_value_per_month": _cents(net),
        "p_net_higher": chance,
        "price_from": each.price_from or None,
        "expires": each.expires,
    }
    why |= {
        "usd_per_request": each.missing.get("usd_per_1k", "no price is known"),
        "build_usd": each.missing.get("build_usd", f"not known: {KEYS['build_usd']}"),
        "upkeep_usd_month": each.missing.get(
            "upkeep_usd_month", f"not known: {KEYS['upkeep_usd_month']}"
        ),
        "p_net_higher": unsure,
        "price_from": "no source was noted with its cost",
        "expires": "no announced end is known of the model that it stands on",
    }
    return row, why


def _score(board: Ladder, each: ArmResult, named: ArmResult | None) -> float:
    """Return a score comparable to the named arm's: on other cases, by their paired difference.

    Recorded answers are scored on the earliest rows too, which learning arms can't be.
    """
    mine = each.score.mean if each.score else 0.0
    if named is None or named.score is None or each.n == named.n:
        return mine
    if (each.name, named.name) not in board.bounds:
        return mine
    return min(1.0, max(0.0, named.score.mean + board.bound(each, named)[0]))


def _cents(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 2)


def _chance(board: Ladder, policy: Policy, b: ArmResult, s: ArmResult) -> tuple[float | None, str]:
    """Return P(NV_b > NV_s) by the normal approximation, or None with a reason."""
    costs = [cost_of(arm, policy.requests_per_month, policy.horizon_months) for arm in (b, s)]
    value, volume = worth_of_one(policy), policy.requests_per_month
    if costs[0] is None or costs[1] is None or volume is None:
        return None, _and(unknown_costs((b, s)), volume, VOLUME)
    if value is None:
        return None, VALUE
    error = score_error(board, b, s)
    if error is None:
        return None, "the two were not compared on the same cases"
    mean = volume * value * board.bound(b, s)[0] - (costs[0] - costs[1])
    price = hypot(b.usd_per_1k_se or 0.0, s.usd_per_1k_se or 0.0) / 1000
    return round(chance_better(mean, hypot(volume * value * error, volume * price)), 4), ""


def score_error(board: Ladder, b: ArmResult, s: ArmResult) -> float | None:
    """Return the standard error of q_b - q_s implied by its bounds; None without a pair."""
    pair = board.pairs.get((b.name, s.name))
    if pair is None or pair.high <= pair.low:
        return None
    return pair.standard_error


def _and(lacking: list[str], volume: float | None, text: str) -> str:
    parts = [f"not known: {', '.join(lacking)}"] if lacking else []
    return "; ".join(parts + ([text] if volume is None else [])) or "not known"


def _lower(board: Ladder, arm: ArmResult) -> ArmResult | None:
    below = [other for other in board.order if rung(other) < rung(arm)]
    return max(below, key=lambda other: board.bound(other, arm)[0], default=None)


def _best_by_score(board: Ladder, arm: ArmResult) -> dict[str, Any] | None:
    """Return the arm with the highest score and the probability that it is truly better."""
    best = max(board.order, key=lambda other: board.bound(other, arm)[0] if other != arm else 0.0)
    error = score_error(board, best, arm)
    if best == arm or error is None:
        return None
    mean = board.pairs[best.name, arm.name].mean
    return {"arm": best.name, "chance": round(chance_better(mean, error), 3)}


def _assumed(board: Ladder, policy: Policy) -> Iterator[str]:
    """Yield the assumptions behind the figures, in plain words."""
    yield f"costs are spread over {policy.horizon_months:g} months (economics.horizon_months)"
    for arm in board.order:
        name = quoted(arm.name, 60)
        if arm.tool not in TRAINED_TOOLS:
            continue
        if arm.build_usd:
            once = f"${arm.build_usd:,.0f}"
            yield f"building `{name}` costs {once}: your hours and rates, not measured"
        if arm.retrain_usd and arm.retrain_days:
            yield (
                f"`{name}` is retrained every {arm.retrain_days:,.0f} days at"
                f" ${arm.retrain_usd:,.0f}: your hours and rates, not measured"
            )
    if any("this machine" in arm.price_from for arm in board.order):
        yield "a request takes as long as it did on this machine: production differs"
    if any("list price" in arm.price_from for arm in board.order):
        yield "list prices stay as they were on the day they were read"
    if policy.label_each is None:
        yield "the labelled rows at hand are paid for (economics.label_each is not set)"
    if policy.motive == "cost" and policy.value_of_correct is None:
        yield "answers count alike where they stay within your margin (motive cost)"
