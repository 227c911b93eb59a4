"""Plan the optional measurements after the arms, and cut those that do not fit the minutes.

They are harm and changes of trained arms, known facts, learning curves and temperatures. They
explain and choose nothing, so they are cut before any arm is. Only one that a hard limit needs is
never cut. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tuneworthy.core.arm import Work
from tuneworthy.core.plan import OptionalMeasurement, Plan, PlannedArm
from tuneworthy.core.reason import NO_ROOM
from tuneworthy.core.specs import trains
from tuneworthy.extras import knowledge_probe, robustness, tuned_model
from tuneworthy.extras.training_size_curve import LEARNER_TOOLS, curve_minutes
from tuneworthy.measure.planning import PlanInputs, diagnosis_minutes
from tuneworthy.models import is_paid

HARM, KNOWN, CURVE, TEMPERATURES = (
    "harm and changes",
    "known facts",
    "learning curves",
    "temperatures",
)
KINDS = (HARM, KNOWN, CURVE, TEMPERATURES)
"""The kinds of measurement in their order; the last ones are cut first."""
BRIEF_NOTE = "the run was asked to be brief (--brief)"


def plan_extras(
    facts: PlanInputs, plan: Plan, brief: bool = False
) -> tuple[OptionalMeasurement, ...]:
    """Return the optional measurements of a plan, each with its minutes or the reason it is cut.

    They share the minutes that arms and diagnosis leave, in the order of KINDS; `brief` cuts all
    that no limit needs. Under the stage rule they are cut later, by the minutes left at the end.
    """
    across = diagnosis_minutes(plan.across, plan.staged)
    left = facts.task.budget.minutes - sum(arm.minutes for arm in plan.arms) - across
    result = []
    for extra in _applicable_measurements(facts, [arm for arm in plan.arms if not arm.because]):
        if extra.needed:
            left -= extra.minutes
        elif brief:
            extra = extra.model_copy(update={"because": BRIEF_NOTE})
        elif not plan.staged and extra.minutes > max(left, 0.0):
            extra = extra.model_copy(update={"because": str(NO_ROOM)})
        else:
            left -= extra.minutes
        result.append(extra)
    return tuple(result)


def _applicable_measurements(
    facts: PlanInputs, arms: Sequence[PlannedArm]
) -> Iterator[OptionalMeasurement]:
    """Yield the measurements that apply to these arms; a paid model gets no temperature checks."""
    trained = [arm for arm in arms if trains(arm.spec)]
    if trained:
        harm = _optional_measurement(facts, HARM, lambda: tuned_model.estimate(facts.sizes))
        limited = facts.task.success.limits.general_drop is not None
        yield harm.model_copy(update={"needed": limited})
    paid = is_paid(facts.task.model)
    facts_asked = facts.task.data.docs or not facts.available.get("gold_passage", "unknown")
    if facts.speed is not None and facts.task.output.type != "label" and facts_asked:
        yield _optional_measurement(
            facts, KNOWN, lambda: knowledge_probe.probe_work(facts.task, facts.sizes, paid)
        )
    if learners := [arm for arm in trained if arm.spec.tool in LEARNER_TOOLS]:
        yield OptionalMeasurement(
            what=CURVE, minutes=max(curve_minutes(facts, arm) for arm in learners)
        )
    if facts.speed is not None and not paid:
        yield _optional_measurement(facts, TEMPERATURES, lambda: robustness.estimate(facts.sizes))


def _optional_measurement(
    facts: PlanInputs, what: str, work: Callable[[], Work]
) -> OptionalMeasurement:
    if facts.speed is None:
        return OptionalMeasurement(what=what)
    needed = work()
    return OptionalMeasurement(
        what=what, requests=needed.requests, minutes=round(facts.speed.minutes(needed), 2)
    )


def why_left_out(extras: Sequence[OptionalMeasurement], what: str) -> str:
    """Return why the kind `what` is not measured, or "" if it is planned."""
    planned = next((extra for extra in extras if extra.what == what), None)
    return "nothing here gives a reason to measure it" if planned is None else planned.because
