"""Hard limits in three states: violated (shown), met (shown), not shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.core.counting import counted, percent_within
from tuneworthy.core.evidence import ArmResult, Evidence, Interval, LimitState
from tuneworthy.core.harm import Harm
from tuneworthy.core.known import Share
from tuneworthy.core.run import RECORDED, Run
from tuneworthy.core.task import Task
from tuneworthy.stats.bounds import rate

FEWEST = 59  # times that can show a 95th percentile to be kept: .95 ** 59 is below .05


def limit_states(task: Task, fields: dict[str, Any], runs: Sequence[Run]) -> dict[str, LimitState]:
    """Return the state of every limit the task sets, by the limit's name."""
    limits = task.success.limits
    states: dict[str, LimitState] = {}
    if limits.valid is not None:
        states["valid"] = _at_least(fields["valid"], limits.valid)
    if limits.p95_ms is not None:
        states["p95_ms"] = _p95([ms for run in runs for ms in run.latency_ms or ()], limits.p95_ms)
    if task.success.floor is not None:
        states["floor"] = _at_least(fields["score"], task.success.floor)
    for name in ("general_drop", "context_faithful"):
        if getattr(limits, name) is not None:
            states[name] = "not measured"
    if limits.local_only:
        states["local_only"] = _local(runs)
    return states


def all_judged(task: Task, evidence: Evidence) -> tuple[ArmResult, ...]:
    """Return the arms with the limits that only a measurement beside the matrix can judge."""
    arms = with_general(evidence.arms, evidence.harms, task.success.limits.general_drop)
    faithful = evidence.staleness.faithful if evidence.staleness else {}
    return judged(task, arms, faithful)


UNTOUCHED = {"classifier", "prompt", "schema", "context"}  # tools that leave the base as it is


def with_general(
    arms: Sequence[ArmResult], harms: Sequence[Harm], limit: float | None
) -> tuple[ArmResult, ...]:
    """Return the arms with the state of `general_drop`, as harm was measured; without a limit, all.

    Tools that leave the base's weights alone keep it by construction. A trained arm whose harm
    was not measured, what runs today and a bigger model stay `not measured`.
    """
    if limit is None:
        return tuple(arms)
    rise = {harm.arm: harm.general for harm in harms}

    def state(arm: ArmResult) -> LimitState:
        if arm.name in rise:
            return _at_most(rise[arm.name], limit)
        return "met" if arm.tool in UNTOUCHED else "not measured"

    return tuple(
        arm.model_copy(update={"limits": {**arm.limits, "general_drop": state(arm)}})
        if "general_drop" in arm.limits
        else arm
        for arm in arms
    )


def _at_most(measured: Interval | None, limit: float) -> LimitState:
    if measured is None:
        return "not measured"
    if measured.low > limit:
        return "violated"
    return "met" if measured.high <= limit else "not shown"


def judged(
    task: Task, arms: Sequence[ArmResult], faithful: Mapping[str, Share]
) -> tuple[ArmResult, ...]:
    """Return the arms with the state of `context_faithful` where it was measured, by arm name.

    To be called on what `compare` returned; without that limit, or a measurement, nothing changes.
    """
    limit = task.success.limits.context_faithful
    if limit is None:
        return tuple(arms)
    out = []
    for arm in arms:
        if (seen := faithful.get(arm.name)) is not None:
            share = Interval(mean=seen.share, low=seen.low, high=seen.high)
            states = arm.limits | {"context_faithful": _at_least(share, limit)}
            arm = arm.model_copy(update={"limits": states})
        out.append(arm)
    return tuple(out)


def _at_least(measured: Interval | None, limit: float) -> LimitState:
    if measured is None:
        return "not measured"
    if measured.high < limit:
        return "violated"
    return "met" if measured.low >= limit else "not shown"


def _p95(times: Sequence[float], limit: float) -> LimitState:
    """Return whether the 95th percentile is shown on one side: a bound on the share above it.

    The one-sided 95 % Clopper-Pearson bound: `met` needs FEWEST prompts without a slow one, or 93
    with one; `matrix.latency` times as many.
    """
    if not times:
        return "not measured"
    low, high = _late(times, limit)
    if low > 0.05:
        return "violated"
    return "met" if high <= 0.05 else "not shown"


def why_p95_open(times: Sequence[float], limit: float) -> str:
    """Return why these times show the limit on their 95th percentile neither met nor violated."""
    late, timed = sum(ms > limit for ms in times), counted(len(times), "prompt")
    were = f"{timed} {'was' if len(times) == 1 else 'were'} timed"
    if len(times) < FEWEST:
        return f"{were}; {FEWEST} are the fewest that can show it"
    low, high = _late(times, limit)
    share = percent_within(Interval(mean=late / len(times), low=low, high=high))
    return f"{were}, {late} of them over it: {share} of all, and 5 % may be"


def _late(times: Sequence[float], limit: float) -> tuple[float, float]:
    return rate(sum(ms > limit for ms in times), len(times), level=0.10)


def _local(runs: Sequence[Run]) -> LimitState:
    """Return `violated` for a remote engine; of recorded answers nobody can tell."""
    engines = {run.fingerprint.get("engine", "") for run in runs}
    if any(engine.startswith("openai") for engine in engines):
        return "violated"
    return "not shown" if any(RECORDED in run.notes for run in runs) else "met"
