"""Compute the economics of the verdict: cost, net value and break-even of each arm. Pure.

NV(V) = V (v q - c) - U - F/H a month: V requests, v the value of a right answer, q the score, c the
cost of a request, U monthly upkeep, F one-off cost, H months. Every null has a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import hypot
from typing import Any

from tuneworthy.explain.costs import chance_better
from tuneworthy.records.escape import quoted
from tuneworthy.records.evidence import ArmResult, Policy
from tuneworthy.records.task import TRAINED_TOOLS
from tuneworthy.verdict.phrases import NO_END_KNOWN, SET_VALUE, SET_VOLUME
from tuneworthy.verdict.prices import (
    COST_NAMES,
    break_even,
    known_prices,
    monthly_cost,
    unknown_costs,
    value_of_right_answer,
)
from tuneworthy.verdict.rungs import Ladder, ladder_key

_BREAK_EVEN_KEYS = ("break_even_per_month", "side", "p_net_higher")


def economics_of_arms(
    ladder: Ladder, policy: Policy, arm: ArmResult | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return (section `economics` of verdict.json, {JSON pointer of a null: its reason})."""
    known: dict[str, str] = {}
    rows = []
    for number, each in enumerate(ladder.order):
        row, why = _arm_row(ladder, policy, each, arm)
        rows.append(row)
        known |= {f"/economics/arms/{number}/{key}": text for key, text in why.items()}
    out: dict[str, Any] = {
        "priced": known_prices(ladder.rivals, policy) is not None,
        "requests_per_month": policy.requests_per_month,
        "value_of_correct": policy.value_of_correct,
        "horizon_months": policy.horizon_months,
        **_break_even_fields(ladder, policy, arm, known),
        "arms": rows,
        "assumed": list(_assumption_sentences(ladder, policy)),
        "expires": arm.expires if arm else None,
    }
    if arm is None:
        known["/economics/expires"] = "no arm is named"
    return out, known


def _break_even_fields(
    ladder: Ladder, policy: Policy, arm: ArmResult | None, known: dict[str, str]
) -> dict[str, Any]:
    """Return fields on where the tuned arm pays against the named one; add why null to `known`.

    Against the best simpler arm if the tuned one is named, today's arm if only cost counts.
    """
    tuned = next((a for a in reversed(ladder.order) if a.tool in TRAINED_TOOLS), None)
    why, rival = "", None
    if arm is None or tuned is None:
        why = "no arm is named" if arm is None else "no tuned arm could be named here"
    else:
        rival = tuned if tuned.name != arm.name else _best_simpler_arm(ladder, arm)
        if policy.motive == "cost" and ladder.present and ladder.present.name != arm.name:
            rival = ladder.present  # the arm that the cheaper one would replace
        why = "" if rival else "no simpler arm to compare with"
    if arm is None or rival is None:
        known |= {f"/economics/{key}": why for key in _BREAK_EVEN_KEYS}
        return {"break_even_per_month": None, "p_net_higher": None}
    money = break_even(arm, rival, ladder.bound(rival, arm)[0], policy)
    lacking = money.pop("lacking")
    why = f"not known: {', '.join(lacking)}" if lacking else "it pays at no volume"
    if arm.tool is None:
        why = f"the tool of `{quoted(arm.name, 60)}` is not given, so its costs are not known"
    known |= {f"/economics/{key}": why for key in _BREAK_EVEN_KEYS[:2]}
    chance, unsure = _chance_net_higher(ladder, policy, rival, arm)
    known["/economics/p_net_higher"] = unsure
    known["/economics/if_upkeep_were_free"] = "the named arm has the highest score"
    return {**money, "p_net_higher": chance, "if_upkeep_were_free": _best_by_score(ladder, arm)}


def _arm_row(
    ladder: Ladder, policy: Policy, each: ArmResult, named: ArmResult | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return (fields on the cost and value of an arm, reasons for those that are None)."""
    why: dict[str, str] = {}
    lacking = [COST_NAMES[key] for key in COST_NAMES if getattr(each, key) is None]
    monthly = monthly_cost(each, policy.requests_per_month, policy.horizon_months)
    net, value = None, policy.value_of_correct
    if monthly is None:
        why["cost_per_month"] = _why_unknown(lacking, policy.requests_per_month, SET_VOLUME)
        why["total_cost"] = why["net_value_per_month"] = why["cost_per_month"]
    elif value is None:
        why["net_value_per_month"] = SET_VALUE
    else:  # a known monthly cost implies a known volume, and a rung on the ladder has a score
        right = (policy.requests_per_month or 0.0) * value * _comparable_score(ladder, each, named)
        net = right - monthly
    chance, unsure = None, "this is the arm the others are compared with"
    if named is None:
        unsure = "no arm is named"
    elif each.name != named.name:
        chance, unsure = _chance_net_higher(ladder, policy, each, named)
    row = {
        "name": each.name,
        "usd_per_request": None if each.usd_per_1k is None else round(each.usd_per_1k / 1000, 9),
        "build_usd": each.build_usd,
        "upkeep_usd_month": each.upkeep_usd_month,
        "cost_per_month": _to_cents(monthly),
        "total_cost": None if monthly is None else _to_cents(monthly * policy.horizon_months),
        "net_value_per_month": _to_cents(net),
        "p_net_higher": chance,
        "price_from": each.price_from or None,
        "expires": each.expires,
    }
    why |= {
        "usd_per_request": each.missing.get("usd_per_1k", "no price is known"),
        "build_usd": each.missing.get("build_usd", f"not known: {COST_NAMES['build_usd']}"),
        "upkeep_usd_month": each.missing.get(
            "upkeep_usd_month", f"not known: {COST_NAMES['upkeep_usd_month']}"
        ),
        "p_net_higher": unsure,
        "price_from": "no source was noted with its cost",
        "expires": NO_END_KNOWN,
    }
    return row, why


def _comparable_score(ladder: Ladder, each: ArmResult, named: ArmResult | None) -> float:
    """Return an arm's score; if on other cases than the named arm's, named score + difference.

    Recorded answers are scored on the earliest rows too, which learning arms can't be.
    """
    mine = each.score.mean if each.score else 0.0
    if named is None or named.score is None or each.n == named.n:
        return mine
    if (each.name, named.name) not in ladder.bounds:
        return mine
    return min(1.0, max(0.0, named.score.mean + ladder.bound(each, named)[0]))


def _to_cents(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 2)


def _chance_net_higher(
    ladder: Ladder, policy: Policy, b: ArmResult, s: ArmResult
) -> tuple[float | None, str]:
    """Return (probability that b's net value exceeds s's, "") or (None, why it is unknown)."""
    costs = [monthly_cost(arm, policy.requests_per_month, policy.horizon_months) for arm in (b, s)]
    value, volume = value_of_right_answer(policy), policy.requests_per_month
    if costs[0] is None or costs[1] is None or volume is None:
        return None, _why_unknown(unknown_costs((b, s)), volume, SET_VOLUME)
    if value is None:
        return None, SET_VALUE
    error = _score_error(ladder, b, s)
    if error is None:
        return None, "the two were not compared on the same cases"
    mean = volume * value * ladder.bound(b, s)[0] - (costs[0] - costs[1])
    price = hypot(b.usd_per_1k_se or 0.0, s.usd_per_1k_se or 0.0) / 1000
    return round(chance_better(mean, hypot(volume * value * error, volume * price)), 4), ""


def _score_error(ladder: Ladder, b: ArmResult, s: ArmResult) -> float | None:
    """Return the standard error of q_b - q_s implied by its bounds; None without a pair."""
    pair = ladder.pairs.get((b.name, s.name))
    if pair is None or pair.high <= pair.low:
        return None
    return pair.standard_error


def _why_unknown(lacking: list[str], volume: float | None, text: str) -> str:
    parts = [f"not known: {', '.join(lacking)}"] if lacking else []
    return "; ".join(parts + ([text] if volume is None else [])) or "not known"


def _best_simpler_arm(ladder: Ladder, arm: ArmResult) -> ArmResult | None:
    below = [other for other in ladder.order if ladder_key(other) < ladder_key(arm)]
    return max(below, key=lambda other: ladder.bound(other, arm)[0], default=None)


def _best_by_score(ladder: Ladder, arm: ArmResult) -> dict[str, Any] | None:
    """Return {"arm": best by score, "chance": that it beats `arm`}; None if `arm` is the best."""
    best = max(ladder.order, key=lambda other: ladder.bound(other, arm)[0] if other != arm else 0.0)
    error = _score_error(ladder, best, arm)
    if best == arm or error is None:
        return None
    mean = ladder.pairs[best.name, arm.name].mean
    return {"arm": best.name, "chance": round(chance_better(mean, error), 3)}


def _assumption_sentences(ladder: Ladder, policy: Policy) -> Iterator[str]:
    """Yield the assumptions behind the figures, in plain words."""
    yield f"costs are spread over {policy.horizon_months:g} months (economics.horizon_months)"
    for arm in ladder.order:
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
    if any("this machine" in arm.price_from for arm in ladder.order):
        yield "a request takes as long as it did on this machine: production differs"
    if any("list price" in arm.price_from for arm in ladder.order):
        yield "list prices stay as they were on the day they were read"
    if policy.label_each is None:
        yield "the labelled rows at hand are paid for (economics.label_each is not set)"
    if policy.motive == "cost" and policy.value_of_correct is None:
        yield "answers count alike where they stay within your margin (motive cost)"
