"""Plan and run the further measurements; they explain the verdict and choose no arm.

Each kind is a module of this folder or of `explain/`. One that the plan cut, or that fails, leaves
a reason instead. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from tuneworthy.explain.arm_slices import slices
from tuneworthy.explain.costs import with_costs
from tuneworthy.explain.hard_limits import with_optional_limits
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.further import freshness_rate, known_facts, robustness, tuned_model
from tuneworthy.measure.further.harm_checks import measure_harm
from tuneworthy.measure.further.known_facts import familiarity
from tuneworthy.measure.further.measurement_limits import MeasurementInputs, soundness
from tuneworthy.measure.further.prompt_search import search_summary, styles, untried_search
from tuneworthy.measure.further.robustness import measure_robustness, robustness_arms
from tuneworthy.measure.further.training_size_curve import (
    LEARNER_TOOLS,
    curve_minutes,
    learning_curves,
)
from tuneworthy.measure.further.weight_changes import training_changes
from tuneworthy.measure.planning import PlanInputs
from tuneworthy.models import is_paid
from tuneworthy.records.arm import Work
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case
from tuneworthy.records.errors import ModelError
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.further import KnowledgeProbe
from tuneworthy.records.plan import OptionalMeasurement, Plan, PlannedArm
from tuneworthy.records.reason import NO_ROOM, Reason
from tuneworthy.records.run import Run
from tuneworthy.records.specs import trains
from tuneworthy.records.task import TRAINED_TOOLS
from tuneworthy.rows.load import Loaded
from tuneworthy.store import signals


@dataclass(frozen=True)
class ExtrasInputs:
    """The inputs of the optional measurements; `recipes` has the best prompt of each fold.

    After `minutes` (None: no limit) nothing more is measured, for the reason `why_ended`.
    """

    runner: Runner
    loaded: Loaded
    cases: tuple[Case, ...]
    plan: Plan
    runs: Sequence[Run]
    recipes: Sequence[Recipe]
    minutes: float | None = None
    why_ended: Reason = NO_ROOM

    def why_cut(self, what: str) -> str:
        """Return why a kind of measurement (one of `KINDS`) is left out, "" if it is planned."""
        return why_left_out(self.plan.beside, what)


def with_extras(inputs: ExtrasInputs, evidence: Evidence) -> Evidence:
    """Return the evidence with the optional measurements, and the reasons for missing ones.

    The limits that need them (`general_drop`, `context_faithful`) get their state. If a model can
    no longer be called (its alias moved, its weights are gone), the measurement is left out; the
    arms keep their verdict.
    """
    missing, most = dict(evidence.missing), inputs.minutes
    limit = nullcontext() if most is None else signals.stop_after(60 * most, signals.TIME_UP)
    with limit:
        evidence = _with_measurements(inputs, evidence, missing)
    # Again, since the retraining interval is known now.
    evidence = with_costs(evidence, inputs.runner.task, inputs.runs)
    evidence = evidence.model_copy(update={"missing": missing})
    return evidence.model_copy(update={"arms": with_optional_limits(inputs.runner.task, evidence)})


def _with_measurements(
    inputs: ExtrasInputs, evidence: Evidence, missing: dict[str, str]
) -> Evidence:
    """Return the evidence with what was measured; add to `missing` why a part was not."""
    for part, names in _MEASUREMENTS:
        values = {}
        try:
            for name, value in part(inputs, evidence):
                if isinstance(value, str):
                    missing[name] = value
                else:
                    values[name] = value
        except ModelError as error:
            why = f"the model could not be asked: {error.what}"
            missing |= {name: f"{why} ({error.got})" for name in names if name not in values}
        except signals.StopRequested as stop:
            if stop.exit_code != signals.TIME_UP:
                raise
            missing |= {name: str(inputs.why_ended) for name in names if name not in values}
        evidence = evidence.model_copy(update=values)
    return evidence


Measured = Iterator[tuple[str, Any]]

"""Yields (field of `Evidence`, its value; or a text: the reason why there is none)."""


def _measure_reliability(inputs: ExtrasInputs, evidence: Evidence) -> Measured:
    runner = inputs.runner
    ground = MeasurementInputs(runner.task, inputs.loaded, inputs.cases, runner.metric)
    unlabelled = "no row has a right answer" if runner.task.lacks_answers else ""
    yield "soundness", unlabelled or soundness(ground, evidence, inputs.runs)
    yield "styles", styles(runner.task, inputs.cases, inputs.runs) or "no arm was measured"
    rows = inputs.loaded.copies
    search = search_summary(runner.task, rows, inputs.runs, evidence, runner.split)
    yield "search", search or "no prompt was measured"
    yield "untried_search", untried_search(runner.task, inputs.plan, inputs.runs, runner.split)


def _measure_facts(inputs: ExtrasInputs, evidence: Evidence) -> Measured:
    runner = inputs.runner
    stated = (
        freshness_rate.measure_freshness(runner, inputs.plan.arms, inputs.runs, inputs.recipes)
        if runner.docs
        else ()
    )
    yield (
        "staleness",
        freshness_rate.freshness_of(runner.task, inputs.loaded.everyone, runner.docs, stated),
    )
    if why := inputs.why_cut(KNOWN):
        yield "known", KnowledgeProbe(because=why)
    else:
        yield "known", familiarity(runner, evidence.diagnosis)


def _measure_robustness(inputs: ExtrasInputs, evidence: Evidence) -> Measured:
    why, arms = inputs.why_cut(TEMPERATURES), robustness_arms(evidence, inputs.runs)
    if why or not arms:
        yield "shakes", why or "no finalist asks a model here"
        return
    shakes = measure_robustness(inputs.runner, inputs.runs, arms)
    yield "shakes", shakes or "no finalist could be asked again and scored"


def _measure_tuned_models(inputs: ExtrasInputs, evidence: Evidence) -> Measured:
    """Yield ("harms" and "changes", records or why not) of the finalists trained here."""
    names = [
        a.name for a in evidence.arms if a.finalist and a.tool in TRAINED_TOOLS and not a.present
    ]
    why = inputs.why_cut(HARM)
    if why or not names:
        yield from ((name, why or "no trained arm is a finalist") for name in ("harms", "changes"))
        return
    runner, runs = inputs.runner, inputs.runs
    harms = [measure_harm(runner, runs, name, evidence.known) for name in names]
    yield "harms", tuple(record for record in harms if record)
    all_changes = [training_changes(runner, runs, name, evidence.shakes) for name in names]
    yield "changes", tuple(record for record in all_changes if record)


def _measure_curves(inputs: ExtrasInputs, evidence: Evidence) -> Measured:
    why = inputs.why_cut(CURVE)
    skip = {a.name: why for a in evidence.arms if why and a.tool in TRAINED_TOOLS}
    given = (inputs.runner, inputs.plan.arms, inputs.runs, inputs.recipes, evidence)
    yield "curves", learning_curves(*given, skip=skip) or "no finalist learns from rows"


_MEASUREMENTS = (
    (_measure_reliability, ("soundness", "styles", "search")),
    (_measure_facts, ("staleness", "known")),
    (_measure_robustness, ("shakes",)),
    (_measure_tuned_models, ("harms", "changes")),
    (_measure_curves, ("curves",)),
)


def with_slices(
    inputs: ExtrasInputs, evidence: Evidence, arm: str | None, rival: str | None
) -> Evidence:
    """Return the evidence with scores of the named arm and its rival on slices of the cases."""
    if arm is None:
        missing = {**evidence.missing, "slices": "no arm is named"}
        return evidence.model_copy(update={"missing": missing})
    scored = {case.id for case in inputs.cases}
    others = [case for case in inputs.loaded.everyone if case.id not in scored]
    runner = inputs.runner
    matrix = Matrix.explaining(runner.task, runner.split, inputs.runs)
    table = slices(matrix, inputs.cases, (arm, rival), others)
    return evidence.model_copy(update={"slices": (table,) if table else ()})


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
    """Return the optional measurements of a plan, in the order of KINDS, each with its minutes.

    `brief` cuts all that no limit needs; the minutes left at the end cut others (`fit_extras`).
    """
    arms = [arm for arm in plan.arms if not arm.because]
    return tuple(
        extra.model_copy(update={"because": BRIEF_NOTE}) if brief and not extra.needed else extra
        for extra in _applicable_measurements(facts, arms)
    )


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
            facts, KNOWN, lambda: known_facts.probe_work(facts.task, facts.sizes, paid)
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
    """Return why a kind of measurement is left out of the plan, "" if it is planned."""
    planned = next((extra for extra in extras if extra.what == what), None)
    return "nothing here gives a reason to measure it" if planned is None else planned.because
