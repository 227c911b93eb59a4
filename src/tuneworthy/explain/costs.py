"""Compute what each arm costs: per request, to build, and upkeep per month. Pure; calls no model.

Per request: the billed price or, if it ran on this machine, machine_hour times its seconds. To
build: hours to build, labels, machine time of training. Upkeep: hosting, and retraining as often
as changing facts (or the horizon) require. The money spent on this study itself is left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from math import erfc, sqrt
from typing import Any, Literal

import numpy as np

from tuneworthy.models.remote import price_list as _prices
from tuneworthy.models.remote.endpoint import on_this_machine
from tuneworthy.records.answer import Answer
from tuneworthy.records.escape import quoted
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.run import Run
from tuneworthy.records.task import TRAINED_TOOLS, Task

DAYS_PER_MONTH = 30.0
_LABELLED_TOOLS = ("classifier", *TRAINED_TOOLS)  # tools that learn from every labelled row
_BUILD_KEYS = "economics.hours_to_build and economics.engineer_hour"
_RETRAIN_KEYS = "economics.hours_per_retrain and economics.engineer_hour"


def cost_per_1000_requests(
    task: Task, answers: Sequence[Answer], runs: Sequence[Run], missing: dict[str, str]
) -> dict[str, Any]:
    """Return fields `usd_per_1k`, `usd_per_1k_se`, `price_from`, `expires`; `missing` gets reasons.

    Only answered requests count: a failed one shows no price, whatever it was billed. Seconds are
    those of bulk answers, so they include the concurrency that was reached.
    """
    answered = [a for a in answers if a.error is None]
    fields: dict[str, Any] = {"expires": _retirement_day(runs)}
    if why := _why_unpriced(task, answered, runs):
        missing["usd_per_1k"] = why
        return fields
    if _billed_dollars(answered):
        dollars, source = _billed_dollars(answered), _price_source(task, runs)
    else:
        hour = task.economics.machine_hour or 0.0
        dollars = [_machine_seconds(a) / 3600 * hour for a in answered if a.seconds is not None]
        source = f"its seconds on this machine at ${hour:g} an hour (economics.machine_hour)"
    return {**fields, **_mean_price_fields(np.array(dollars) * 1000), "price_from": source}


def _machine_seconds(answer: Answer) -> float:
    """Return an answer's share of machine time: its seconds divided by the concurrent requests."""
    return (answer.seconds or 0.0) / (answer.concurrency or 1)


def _billed_dollars(answered: Sequence[Answer]) -> list[float]:
    return [a.usd for a in answered if a.usd is not None]


def _why_unpriced(task: Task, answered: Sequence[Answer], runs: Sequence[Run]) -> str:
    """Return why requests have no price, "" if they have one.

    Requests that a server billed, or that were sent to a remote server, are never priced as time of
    this machine.
    """
    remote, billed = _remote_fingerprint(runs), len(_billed_dollars(answered))
    if not answered:
        return "no request was answered, so there is no price of one"
    if billed:
        unbilled = len(answered) - billed
        return (
            f"{unbilled:,} of {len(answered):,} successful answers lack their `usd`"
            if unbilled
            else ""
        )
    if remote and not on_this_machine(remote["endpoint"]):
        return _why_no_price(task, remote.get("model", ""), remote.get("endpoint", ""))
    if task.economics.machine_hour is None:
        return "no price: set economics.machine_hour (or usd in recorded answers)"
    if any(a.seconds is None for a in answered):
        return "not every successful answer has its seconds"
    return ""


def _why_no_price(task: Task, name: str, url: str) -> str:
    if name in task.economics.prices or _prices.listed(name, url):
        return f"the server of {name} reported no token counts, so its answers have no price"
    return f"no price of {name} is known: set economics.prices"


def with_costs(evidence: Evidence, task: Task, runs: Sequence[Run]) -> Evidence:
    """Return the evidence with the build cost and monthly upkeep of every arm with a score.

    Call it again once `staleness` is known: the retraining interval depends on it.
    """
    counts: dict[str, int] = {}
    for run in runs:
        if run.state == "measured":
            counts[run.spec.name] = counts.get(run.spec.name, 0) + 1
    days = retrain_days(evidence, task)
    rows, taught = evidence.train or 0, dict[str, float]()
    for run in runs:  # each fold learns from the whole of what the teacher wrote
        taught[run.spec.name] = max(run.taught_usd, taught.get(run.spec.name, 0.0))
    arms = [
        arm.model_copy(update=_arm_costs(
            arm, task, (rows, counts.get(arm.name, 1), days), taught.get(arm.name, 0.0)
        ))
        if arm.score
        else arm
        for arm in evidence.arms
    ]  # fmt: skip
    return evidence.model_copy(update={"arms": tuple(arms)})


def retrain_days(evidence: Evidence, task: Task) -> float:
    """Return after how many days a tuned model is retrained, at least 1 and at most the horizon.

    That is the mean of the measured freshness days; without one, the horizon, when the base model
    is replaced.
    """
    horizon = task.economics.horizon_months * DAYS_PER_MONTH
    freshness = evidence.staleness.days if evidence.staleness else None
    return max(1.0, min(freshness.mean, horizon)) if freshness else horizon


def _arm_costs(
    arm: ArmResult, task: Task, about: tuple[int, int, float], taught: float
) -> dict[str, Any]:
    """Return an arm's cost fields and `missing`; `about`: (labelled rows, fits, retrain days).

    `taught` are the dollars of a teacher's answers, which each building and retraining needs.
    """
    rows, fits, days = about
    lacking = {k: v for k, v in arm.missing.items() if k not in _TASK_COST_FIELDS}
    if arm.tool is None and arm.role == "candidate":  # may be a tuned model, so cost unknown
        why = f"its tool is not given (answers.{quoted(arm.name, 60)}.tool)"
        return dict.fromkeys(_TASK_COST_FIELDS) | {
            "missing": lacking | dict.fromkeys(_TASK_COST_FIELDS, why)
        }
    build = _build_cost(arm, task, rows, fits, lacking)
    build = None if build is None else build + taught
    if arm.tool not in TRAINED_TOOLS:
        upkeep: dict[str, Any] = {"upkeep_usd_month": 0.0, "retrain_usd": 0.0, "retrain_days": None}
    else:
        upkeep = _upkeep_fields(arm, task, rows, (fits, days, taught), lacking)
    return {"build_usd": build, **upkeep, "missing": lacking}


_TASK_COST_FIELDS = ("build_usd", "upkeep_usd_month", "retrain_usd", "retrain_days")


def _build_cost(
    arm: ArmResult, task: Task, rows: int, fits: int, lacking: dict[str, str]
) -> float | None:
    """Return the one-off cost F in USD; None, with a reason in `lacking`, if a price is not set.

    F = hours_to_build * engineer_hour + rows * label_each + training hours * machine_hour
    """
    money = task.economics
    if arm.present or arm.tool not in _LABELLED_TOOLS:
        return 0.0
    labels = rows * (money.label_each or 0.0)  # without a price, existing labels cost nothing
    if arm.tool not in TRAINED_TOOLS:
        return labels
    machine = _training_cost(arm, task, fits)
    if money.hours_to_build is None or money.engineer_hour is None:
        lacking["build_usd"] = f"set {_BUILD_KEYS}"
        return None
    if machine is None:
        lacking["build_usd"] = "set economics.machine_hour"
        return None
    return money.hours_to_build * money.engineer_hour + labels + machine


def _upkeep_fields(
    arm: ArmResult, task: Task, rows: int, about: tuple[int, float, float],
    lacking: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    """Return a dict of monthly upkeep U, retraining cost and days; None without prices (`lacking`).

    U = hosting_month + 30/T * (hours_per_retrain * engineer_hour + retraining + relabelling + a
    teacher's answers)
    """
    money, (fits, days, taught) = task.economics, about
    machine = _training_cost(arm, task, fits)
    out: dict[str, Any] = dict.fromkeys(_TASK_COST_FIELDS[1:])
    if money.hours_per_retrain is None or money.engineer_hour is None or machine is None:
        why = _RETRAIN_KEYS if machine is not None else "economics.machine_hour"
        return _without_upkeep(out, lacking, f"set {why}")
    stale = task.knowledge.stale_ok if task.knowledge else 0.0
    relabelled = stale * rows * (money.label_each or 0.0)  # the share of stale rows
    each = money.hours_per_retrain * money.engineer_hour + machine + relabelled + taught
    out |= {"retrain_usd": each, "retrain_days": days}
    if money.hosting_month is None:
        lacking["upkeep_usd_month"] = "set economics.hosting_month"
        return out
    return out | {"upkeep_usd_month": money.hosting_month + DAYS_PER_MONTH / days * each}


def _without_upkeep(out: dict[str, Any], lacking: dict[str, str], why: str) -> dict[str, Any]:
    lacking |= dict.fromkeys(_TASK_COST_FIELDS[1:], why)
    return out


def _training_cost(arm: ArmResult, task: Task, fits: int) -> float | None:
    """Return the machine cost of one fit in USD (0 without fit); None if machine_hour is unset."""
    if not arm.fit_seconds:
        return 0.0
    hour = task.economics.machine_hour
    return None if hour is None else arm.fit_seconds / fits / 3600 * hour


def _mean_price_fields(values: np.ndarray[Any, Any]) -> dict[str, float]:
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else 0.0
    return {"usd_per_1k": round(float(values.mean()), 6), "usd_per_1k_se": round(error, 9)}


def _remote_fingerprint(runs: Sequence[Run]) -> Mapping[str, str]:
    return next((r.fingerprint for r in runs if "endpoint" in r.fingerprint), {})


def _price_source(task: Task, runs: Sequence[Run]) -> str:
    """Return the source of a billed price as text: task file, dated price list, server or log."""
    remote = _remote_fingerprint(runs)
    if not remote:
        return "as recorded with its answers"
    name = remote.get("model", "")
    return price_source(task, name, remote.get("endpoint", "")) or "as its server told"


def price_source(task: Task, name: str, url: str) -> str:
    """Return the source of a model's price as text: task file or dated price list; "" if none."""
    if name in task.economics.prices:
        return f"your price of {name} (economics.prices)"
    listed = _prices.listed(name, url)
    return f"list price of {name}, read on {listed.read}" if listed else ""


def _retirement_day(runs: Sequence[Run]) -> str | None:
    """Return a remote model's announced retirement date as ISO text; None if none is known."""
    remote = _remote_fingerprint(runs)
    listed = _prices.listed(remote.get("model", ""), remote.get("endpoint", ""))
    ends: dt.date | None = listed.retires if listed else None
    return ends.isoformat() if ends else None


Side = Literal["above", "below", "always", "never"]


def breakeven(
    dF: float,  # noqa: N803 - symbols of the formula
    H: float,  # noqa: N803
    dU: float,  # noqa: N803
    dc: float,
    v: float,
    dq: float,
) -> tuple[Side, float | None]:
    """Return (side, volume): arm b pays against arm a above or below so many requests a month.

    dF, dU: one-off cost and monthly upkeep, b - a; H: months; dc: cost per request, a - b; v: value
    of one more right answer; dq: score, b - a. Also ("always", 0.0) and ("never", None).
    """
    fixed, gain = dF / H + dU, dc + v * dq
    if gain > 0:
        return ("above", fixed / gain) if fixed > 0 else ("always", 0.0)
    if fixed >= 0:
        return "never", None
    return ("below", fixed / gain) if gain < 0 else ("always", 0.0)


def paying_margin(
    dF: float,  # noqa: N803
    H: float,  # noqa: N803
    dU: float,  # noqa: N803
    v: float,
    V: float,  # noqa: N803
) -> float:
    """Return the least score gain that pays for b's higher fixed costs over a's; at least 0.

    V: requests per month. Raises ValueError if answers or requests are worth nothing.
    """
    if v * V <= 0:
        raise ValueError("the margin needs a value of a right answer and a volume above 0")
    return max(0.0, (dF / H + dU) / (v * V))


def chance_better(mean: float, se: float) -> float:
    """Return the probability that a difference of net values is above 0, by the normal law."""
    if se <= 0:
        return 0.5 if mean == 0 else float(mean > 0)
    return 0.5 * erfc(-mean / se / sqrt(2))  # `NormalDist` is 0 far below, and all would tie
