"""What is measured once the arms were, and what the minutes have no room for. Knows no arm by name.

It asks the model beside the matrix: harm and changes of trained arms, what the model knows, curves,
temperatures. It explains and chooses nothing, so it is cut before any arm is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tuneworthy.core.arm import Work
from tuneworthy.core.extra import Extra
from tuneworthy.core.plan import NO_ROOM, Plan, PlannedArm
from tuneworthy.core.specs import trains
from tuneworthy.extras import knowledge_probe as knowing
from tuneworthy.extras import robustness as shaking
from tuneworthy.extras import tuned_model as tuned
from tuneworthy.extras.training_size_curve import LEARNERS, curve_minutes
from tuneworthy.measure.planning import Facts, reading_minutes
from tuneworthy.models import is_local

HARM, KNOWN, CURVE, SHAKES = "harm and changes", "known facts", "learning curves", "temperatures"
KINDS = (HARM, KNOWN, CURVE, SHAKES)
"""The first to be measured is the last to be cut."""
BRIEF = "the run was asked to be brief (--brief)"


def extras(facts: Facts, plan: Plan, brief: bool = False) -> tuple[Extra, ...]:
    """Return what may be measured beside a plan's arms, each with its minutes or why it is cut.

    They share what the arms and reading across leave of the budget, in the order of KINDS.
    `brief`: none of them is wanted. Under the stage rule they share what is left at the end.
    """
    across = reading_minutes(plan.across)
    left = facts.task.budget.minutes - sum(arm.minutes for arm in plan.arms) - across
    found = []
    for extra in _wanted(facts, [arm for arm in plan.arms if not arm.because]):
        if brief:
            extra = extra.model_copy(update={"because": BRIEF})
        elif not plan.staged and extra.minutes > max(left, 0.0):
            extra = extra.model_copy(update={"because": NO_ROOM})
        else:
            left -= extra.minutes
        found.append(extra)
    return tuple(found)


def _wanted(facts: Facts, arms: Sequence[PlannedArm]) -> Iterator[Extra]:
    """Yield what these arms give a reason for; a paid model is asked no more than its arms ask."""
    trained = [arm for arm in arms if trains(arm.spec)]
    if trained:
        yield _extra(facts, HARM, lambda: tuned.estimate(facts.sizes))
    paid = not is_local(facts.task.model)
    facts_asked = facts.task.data.docs or not facts.available.get("gold_passage", "unknown")
    if facts.speed is not None and facts.task.output.type != "label" and facts_asked:
        yield _extra(facts, KNOWN, lambda: knowing.cost(facts.task, facts.sizes, paid))
    if best := [arm for arm in trained if arm.spec.tool in LEARNERS]:
        yield Extra(what=CURVE, minutes=max(curve_minutes(facts, arm) for arm in best))
    if facts.speed is not None and not paid:
        yield _extra(facts, SHAKES, lambda: shaking.estimate(facts.sizes))


def _extra(facts: Facts, what: str, work: Callable[[], Work]) -> Extra:
    if facts.speed is None:
        return Extra(what=what)
    asked = work()
    return Extra(what=what, requests=asked.requests, minutes=round(facts.speed.minutes(asked), 2))


def left_out(extras: Sequence[Extra], what: str) -> str:
    """Return why a kind is not measured, or "" where it is planned."""
    planned = next((extra for extra in extras if extra.what == what), None)
    return "nothing here gives a reason to measure it" if planned is None else planned.because
