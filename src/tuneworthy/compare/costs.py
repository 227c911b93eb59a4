"""What each arm costs: a request, once, and a month beside its requests. Pure; asks no model.

A request: as billed, else (asked on this machine) machine_hour times its seconds. Once: hours to
build, labels, machine time of training. A month: hosting, and retraining as often as facts (or the
horizon) demand.
What this study itself has spent is the same for every arm and left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.core.answer import Answer
from tuneworthy.core.escape import quoted
from tuneworthy.core.evidence import ArmResult, Evidence
from tuneworthy.core.run import Run
from tuneworthy.core.task import Task
from tuneworthy.models.remote import prices as _prices
from tuneworthy.models.remote.endpoint import on_this_machine

MONTH = 30.0  # days
TUNED = ("tune", "distil")  # the tools with a model to build, to host and to retrain
LABELLED = ("classifier", *TUNED)  # the tools that learn from every labelled row
HOURS = "economics.hours_to_build and economics.engineer_hour"
RETRAIN = "economics.hours_per_retrain and economics.engineer_hour"


def request_cost(
    task: Task, answers: Sequence[Answer], runs: Sequence[Run], missing: dict[str, str]
) -> dict[str, Any]:
    """Return dollars per 1,000 requests with their standard error, and where they come from.

    Both are those of requests that were answered: one that failed tells no price, whatever the
    failure was billed. Seconds are those of answers in bulk, so the concurrency that was reached is
    in them. What is None has its reason written into `missing`.
    """
    told = [a for a in answers if a.error is None]
    out: dict[str, Any] = {"expires": _expires(runs)}
    if why := _unpriced(task, told, runs):
        missing["usd_per_1k"] = why
        return out
    if _billed(told):
        dollars, source = _billed(told), _priced(task, runs)
    else:
        hour = task.economics.machine_hour or 0.0
        dollars = [_share(a) / 3600 * hour for a in told if a.seconds is not None]
        source = f"its seconds on this machine at ${hour:g} an hour (economics.machine_hour)"
    return {**out, **_mean(np.array(dollars) * 1000), "price_from": source}


def _share(answer: Answer) -> float:
    """Return the seconds of this machine that an answer took: requests under way share them."""
    return (answer.seconds or 0.0) / (answer.concurrency or 1)


def _billed(told: Sequence[Answer]) -> list[float]:
    return [a.usd for a in told if a.usd is not None]


def _unpriced(task: Task, told: Sequence[Answer], runs: Sequence[Run]) -> str:
    """Return why requests have no price, "" where they have one.

    Nothing that a server sent a bill for, or that it was asked, is priced as time of this machine.
    """
    asked, billed = _remote(runs), len(_billed(told))
    if not told:
        return "no request was answered, so there is no price of one"
    if billed:
        lack = len(told) - billed
        return f"{lack:,} of {len(told):,} successful answers lack their `usd`" if lack else ""
    if asked and not on_this_machine(asked["endpoint"]):
        return _unbilled(task, asked.get("model", ""), asked.get("endpoint", ""))
    if task.economics.machine_hour is None:
        return "no price: set economics.machine_hour (or usd in recorded answers)"
    if any(a.seconds is None for a in told):
        return "not every successful answer has its seconds"
    return ""


def _unbilled(task: Task, name: str, url: str) -> str:
    if name in task.economics.prices or _prices.listed(name, url):
        return f"the server of {name} told no tokens that its price can be taken of"
    return f"no price of {name} is known: set economics.prices"


def with_costs(evidence: Evidence, task: Task, runs: Sequence[Run]) -> Evidence:
    """Return the evidence with one-off cost and monthly upkeep of every measured arm filled in.

    Call it again once `staleness` is known: how often a model must be retrained comes from it.
    """
    counts: dict[str, int] = {}
    for run in runs:
        if run.state == "measured":
            counts[run.spec.name] = counts.get(run.spec.name, 0) + 1
    days = retrain_days(evidence, task)
    rows = evidence.train or 0
    arms = [
        arm.model_copy(update=_fields(arm, task, (rows, counts.get(arm.name, 1), days)))
        if arm.score
        else arm
        for arm in evidence.arms
    ]
    return evidence.model_copy(update={"arms": tuple(arms)})


def retrain_days(evidence: Evidence, task: Task) -> float:
    """Return after how many days a tuned model is retrained: T_max, at most the horizon.

    With nothing known of change that is once in the horizon, with its base model.
    """
    horizon = task.economics.horizon_months * MONTH
    known = evidence.staleness.days if evidence.staleness else None
    return max(1.0, min(known.mean, horizon)) if known else horizon


def _fields(arm: ArmResult, task: Task, about: tuple[int, int, float]) -> dict[str, Any]:
    """Return the costs of one arm; `about` is its labelled rows, its fits and days to retrain."""
    rows, fits, days = about
    lacking = {k: v for k, v in arm.missing.items() if k not in _OWN}
    if arm.tool is None and arm.role == "candidate":  # it may be a tuned model
        why = f"its tool is not given (answers.{quoted(arm.name, 60)}.tool)"
        return dict.fromkeys(_OWN) | {"missing": lacking | dict.fromkeys(_OWN, why)}
    build = _once(arm, task, rows, fits, lacking)
    if arm.tool not in TUNED:
        upkeep: dict[str, Any] = {"upkeep_usd_month": 0.0, "retrain_usd": 0.0, "retrain_days": None}
    else:
        upkeep = _monthly(arm, task, rows, (fits, days), lacking)
    return {"build_usd": build, **upkeep, "missing": lacking}


_OWN = ("build_usd", "upkeep_usd_month", "retrain_usd", "retrain_days")


def _once(
    arm: ArmResult, task: Task, rows: int, fits: int, lacking: dict[str, str]
) -> float | None:
    """F = hours_to_build * engineer_hour + rows * label_each + training hours * machine_hour."""
    money = task.economics
    if arm.present or arm.tool not in LABELLED:
        return 0.0
    labels = rows * (money.label_each or 0.0)  # without a price the rows at hand are paid for
    if arm.tool not in TUNED:
        return labels
    machine = _machine(arm, task, fits)
    if money.hours_to_build is None or money.engineer_hour is None:
        lacking["build_usd"] = f"set {HOURS}"
        return None
    if machine is None:
        lacking["build_usd"] = "set economics.machine_hour"
        return None
    return money.hours_to_build * money.engineer_hour + labels + machine


def _monthly(
    arm: ArmResult, task: Task, rows: int, about: tuple[int, float], lacking: dict[str, str]
) -> dict[str, Any]:
    """U = hosting_month + 30/T * (hours_per_retrain * engineer_hour + retraining + relabelling)."""
    money, (fits, days) = task.economics, about
    machine = _machine(arm, task, fits)
    out: dict[str, Any] = dict.fromkeys(_OWN[1:])
    if money.hours_per_retrain is None or money.engineer_hour is None or machine is None:
        why = RETRAIN if machine is not None else "economics.machine_hour"
        return _unknown(out, lacking, f"set {why}")
    stale = task.knowledge.stale_ok if task.knowledge else 0.0
    relabelled = stale * rows * (money.label_each or 0.0)  # the share that went stale since
    each = money.hours_per_retrain * money.engineer_hour + machine + relabelled
    out |= {"retrain_usd": each, "retrain_days": days}
    if money.hosting_month is None:
        lacking["upkeep_usd_month"] = "set economics.hosting_month"
        return out
    return out | {"upkeep_usd_month": money.hosting_month + MONTH / days * each}


def _unknown(out: dict[str, Any], lacking: dict[str, str], why: str) -> dict[str, Any]:
    lacking |= dict.fromkeys(_OWN[1:], why)
    return out


def _machine(arm: ArmResult, task: Task, fits: int) -> float | None:
    """Return what one training costs in machine time; None where machine_hour is not known."""
    if not arm.fit_seconds:
        return 0.0
    hour = task.economics.machine_hour
    return None if hour is None else arm.fit_seconds / fits / 3600 * hour


def _mean(values: np.ndarray[Any, Any]) -> dict[str, float]:
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else 0.0
    return {"usd_per_1k": round(float(values.mean()), 6), "usd_per_1k_se": round(error, 9)}


def _remote(runs: Sequence[Run]) -> Mapping[str, str]:
    return next((r.fingerprint for r in runs if "endpoint" in r.fingerprint), {})


def _priced(task: Task, runs: Sequence[Run]) -> str:
    """Return where a billed price comes from: the user, the list (with its day), or a log."""
    asked = _remote(runs)
    name = asked.get("model", "")
    if not asked:
        return "as recorded with its answers"
    if name in task.economics.prices:
        return f"your price of {name} (economics.prices)"
    known = _prices.listed(name, asked.get("endpoint", ""))
    return f"list price of {name}, read on {known.read}" if known else "as its server told"


def _expires(runs: Sequence[Run]) -> str | None:
    """Return the day that a remote model is announced to end, None where none is known."""
    asked = _remote(runs)
    known = _prices.listed(asked.get("model", ""), asked.get("endpoint", ""))
    ends: dt.date | None = known.retires if known else None
    return ends.isoformat() if ends else None
