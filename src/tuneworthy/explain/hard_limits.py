"""Test the hard limits of a task: each is shown violated, shown met, or not shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.matrix.design import Design
from tuneworthy.records.counting import count_noun, percent_with_bounds
from tuneworthy.records.evidence import ArmResult, Evidence, Interval, LimitState
from tuneworthy.records.further import Proportion, SideEffects
from tuneworthy.records.run import Run
from tuneworthy.records.task import Task

_LEAST_TIMES_FOR_LIMIT = 59  # the fewest times that can show p95 below a limit: .95 ** 59 < .05
_TIMED_DESIGN = Design.independent("prompts are timed one at a time, drawn at random")


def limit_states(task: Task, fields: dict[str, Any], runs: Sequence[Run]) -> dict[str, LimitState]:
    """Return {limit that the task sets: its state}, all but `valid`."""
    limits = task.success.limits
    states: dict[str, LimitState] = {}
    if limits.p95_ms is not None:
        states["p95_ms"] = _p95_state(request_times(runs), limits.p95_ms)
    if task.success.floor is not None:
        states["floor"] = state_at_least(fields["score"], task.success.floor)
    for name in ("general_drop", "context_faithful"):
        if getattr(limits, name) is not None:
            states[name] = "not measured"
    if limits.local_only:
        states["local_only"] = _local_only_state(runs)
    return states


def with_optional_limits(task: Task, evidence: Evidence) -> tuple[ArmResult, ...]:
    """Return the arms with states of `general_drop` and `context_faithful`, measured apart."""
    arms = with_general_drop(evidence.arms, evidence.harms, task.success.limits.general_drop)
    if why := evidence.missing.get("harms"):
        arms = tuple(
            arm.model_copy(update={"missing": {**arm.missing, "limits.general_drop": why}})
            if arm.limits.get("general_drop") == "not measured"
            else arm
            for arm in arms
        )
    faithful = evidence.staleness.faithful if evidence.staleness else {}
    return with_faithfulness(task, arms, faithful)


_UNTRAINED_TOOLS = {"classifier", "prompt", "schema", "context"}


def with_general_drop(
    arms: Sequence[ArmResult], harms: Sequence[SideEffects], limit: float | None
) -> tuple[ArmResult, ...]:
    """Return the arms with limit `general_drop` met, violated or neither, by measured harms.

    Tools that do not change the base model's weights meet it by construction. A trained arm whose
    harm was not measured, the present system and a bigger model stay `not measured`. Without a
    limit the arms are returned unchanged.
    """
    if limit is None:
        return tuple(arms)
    rise = {harm.arm: harm.general for harm in harms}

    def state(arm: ArmResult) -> LimitState:
        if arm.name in rise:
            return _state_at_most(rise[arm.name], limit)
        return "met" if arm.tool in _UNTRAINED_TOOLS else "not measured"

    return tuple(
        arm.model_copy(update={"limits": {**arm.limits, "general_drop": state(arm)}})
        if "general_drop" in arm.limits
        else arm
        for arm in arms
    )


def _state_at_most(measured: Interval | None, limit: float) -> LimitState:
    if measured is None:
        return "not measured"
    if measured.low > limit:
        return "violated"
    return "met" if measured.high <= limit else "not shown"


def with_faithfulness(
    task: Task, arms: Sequence[ArmResult], faithful: Mapping[str, Proportion]
) -> tuple[ArmResult, ...]:
    """Return the arms with the state of limit `context_faithful`; `faithful`: {arm: share}.

    Call it on the arms that `compare` returned. Without that limit, or for an arm without a
    measurement, nothing changes.
    """
    limit = task.success.limits.context_faithful
    if limit is None:
        return tuple(arms)
    updated = []
    for arm in arms:
        if (measured := faithful.get(arm.name)) is not None:
            share = Interval(mean=measured.share, low=measured.low, high=measured.high)
            states = arm.limits | {"context_faithful": state_at_least(share, limit)}
            arm = arm.model_copy(update={"limits": states})
        updated.append(arm)
    return tuple(updated)


def state_at_least(measured: Interval | None, limit: float) -> LimitState:
    """Return the state of a limit that a share must reach; "not measured" for None."""
    if measured is None:
        return "not measured"
    if measured.high < limit:
        return "violated"
    return "met" if measured.low >= limit else "not shown"


def request_times(runs: Sequence[Run]) -> list[float]:
    """Return the milliseconds of the timed requests; for recorded answers those in their log."""
    times = [ms for run in runs for ms in run.latency_ms or ()]
    logged = (run for run in runs if run.recorded)
    return times or [1000 * a.seconds for r in logged for a in r.answers if a.seconds is not None]


def _p95_state(times: Sequence[float], limit: float) -> LimitState:
    """Return the state of the p95 limit: is the 95th percentile shown to be above or below it.

    Uses the one-sided 95 % Clopper-Pearson bound on the share of times above the limit: `met` needs
    _LEAST_TIMES_FOR_LIMIT prompts with none above it, or 93 with one. `measure.latency` times that
    many prompts.
    """
    if not times:
        return "not measured"
    late = _share_over_limit(times, limit)
    if late.low > 0.05:
        return "violated"
    return "met" if late.high <= 0.05 else "not shown"


def why_p95_open(times: Sequence[float], limit: float) -> str:
    """Return why these times show the p95 limit neither met nor violated."""
    late, prompts = sum(ms > limit for ms in times), count_noun(len(times), "prompt")
    were = f"{prompts} {'was' if len(times) == 1 else 'were'} timed"
    if len(times) < _LEAST_TIMES_FOR_LIMIT:
        return f"{were}; {_LEAST_TIMES_FOR_LIMIT} are the fewest that can show it"
    share = percent_with_bounds(_share_over_limit(times, limit).interval)
    return f"{were}, {late} of them over it: {share} of all, and 5 % may be"


def _share_over_limit(times: Sequence[float], limit: float) -> Proportion:
    return _TIMED_DESIGN.rate(sum(ms > limit for ms in times), len(times), level=0.10)


def _local_only_state(runs: Sequence[Run]) -> LimitState:
    """Return the state of `local_only`: violated at an endpoint, not shown for recorded answers."""
    engines = {run.fingerprint.get("engine", "") for run in runs}
    if any(engine.startswith("openai") for engine in engines):
        return "violated"
    return "not shown" if any(run.recorded for run in runs) else "met"
