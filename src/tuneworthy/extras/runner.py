"""Run the optional measurements after the arms; they explain the verdict and choose no arm.

Each kind is a module of `extras/` or `compare/`. One that the plan cut, or that fails, leaves a
reason instead. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.compare.arm_slices import slices
from tuneworthy.compare.costs import with_costs
from tuneworthy.compare.hard_limits import with_optional_limits
from tuneworthy.core.arm import Recipe
from tuneworthy.core.case import Case
from tuneworthy.core.errors import ModelError
from tuneworthy.core.evidence import Evidence
from tuneworthy.core.known import KnowledgeProbe
from tuneworthy.core.plan import Plan
from tuneworthy.core.run import Run
from tuneworthy.core.task import TRAINED_TOOLS
from tuneworthy.data.load import Loaded
from tuneworthy.extras import freshness_rate as staleness
from tuneworthy.extras import optional as extras
from tuneworthy.extras.harm_checks import harm
from tuneworthy.extras.knowledge_probe import familiarity
from tuneworthy.extras.measurement_limits import MeasurementInputs, soundness
from tuneworthy.extras.prompt_search import search_summary
from tuneworthy.extras.robustness import measure_robustness, robustness_arms
from tuneworthy.extras.style_distance import styles
from tuneworthy.extras.training_size_curve import learning_curves
from tuneworthy.extras.weight_changes import training_changes
from tuneworthy.measure.units import Runner


@dataclass(frozen=True)
class ExtrasInputs:
    """The inputs of the measurements; `recipes` has the best prompt of each fold."""

    runner: Runner
    loaded: Loaded
    cases: tuple[Case, ...]
    plan: Plan
    runs: Sequence[Run]
    recipes: Sequence[Recipe]

    def cut(self, what: str) -> str:
        """Return why a kind is not measured, or "" if it is planned."""
        return extras.why_left_out(self.plan.beside, what)


def with_extras(asking: ExtrasInputs, evidence: Evidence) -> Evidence:
    """Return the evidence with the optional measurements, and the reasons for missing ones.

    The limits that need them (`general_drop`, `context_faithful`) get their state. If a model can
    no longer be called (its alias moved, its weights are gone), the measurement is left out; the
    arms keep their verdict.
    """
    missing = dict(evidence.missing)
    for part, names in _PARTS:
        values = {}
        try:
            for name, value in part(asking, evidence):
                if isinstance(value, str):
                    missing[name] = value
                else:
                    values[name] = value
        except ModelError as error:
            why = f"the model could not be asked: {error.what}"
            missing |= {name: f"{why} ({error.got})" for name in names if name not in values}
        evidence = evidence.model_copy(update=values)
    evidence = with_costs(evidence, asking.runner.task, asking.runs)  # T_max is known now
    arms = with_optional_limits(asking.runner.task, evidence)
    return evidence.model_copy(update={"arms": arms, "missing": missing})


Measured = Iterator[tuple[str, Any]]
"""Yields (field of the evidence, its value or a text that says why there is none)."""


def _measurement(asking: ExtrasInputs, evidence: Evidence) -> Measured:
    runner = asking.runner
    ground = MeasurementInputs(runner.task, asking.loaded, asking.cases, runner.metric)
    yield "soundness", soundness(ground, evidence, asking.runs)
    yield "styles", styles(runner.task, asking.cases, asking.runs) or "no arm was measured"
    search = search_summary(runner.task, asking.cases, asking.runs, evidence, runner.split)
    yield "search", search or "no prompt was measured"


def _facts(asking: ExtrasInputs, evidence: Evidence) -> Measured:
    runner = asking.runner
    stated = (
        staleness.measure_freshness(runner, asking.plan.arms, asking.runs, asking.recipes)
        if runner.docs
        else ()
    )
    yield (
        "staleness",
        staleness.staleness_of(runner.task, asking.loaded.everyone, runner.docs, stated),
    )
    if why := asking.cut(extras.KNOWN):
        yield "known", KnowledgeProbe(because=why)
    else:
        yield "known", familiarity(runner, evidence.diagnosis)


def _robustness(asking: ExtrasInputs, evidence: Evidence) -> Measured:
    why, arms = asking.cut(extras.SHAKES), robustness_arms(evidence, asking.runs)
    if why or not arms:
        yield "shakes", why or "no finalist asks a model here"
        return
    shakes = measure_robustness(asking.runner, asking.runs, arms)
    yield "shakes", shakes or "no finalist could be asked again"


def _tuned(asking: ExtrasInputs, evidence: Evidence) -> Measured:
    """Yield harm and changes of the finalists trained here."""
    names = [
        a.name for a in evidence.arms if a.finalist and a.tool in TRAINED_TOOLS and not a.present
    ]
    why = asking.cut(extras.HARM)
    if why or not names:
        yield from ((name, why or "no trained arm is a finalist") for name in ("harms", "changes"))
        return
    runner, runs = asking.runner, asking.runs
    harms = [harm(runner, runs, name, evidence.known) for name in names]
    yield "harms", tuple(record for record in harms if record)
    all_changes = [training_changes(runner, runs, name, evidence.shakes) for name in names]
    yield "changes", tuple(record for record in all_changes if record)


def _curves(asking: ExtrasInputs, evidence: Evidence) -> Measured:
    why = asking.cut(extras.CURVE)
    skip = {a.name: why for a in evidence.arms if why and a.tool in TRAINED_TOOLS}
    given = (asking.runner, asking.plan.arms, asking.runs, asking.recipes, evidence)
    yield "curves", learning_curves(*given, skip=skip) or "no finalist learns from rows"


_PARTS = (
    (_measurement, ("soundness", "styles", "search")),
    (_facts, ("staleness", "known")),
    (_robustness, ("shakes",)),
    (_tuned, ("harms", "changes")),
    (_curves, ("curves",)),
)


def with_slices(
    asking: ExtrasInputs, evidence: Evidence, arm: str | None, rival: str | None
) -> Evidence:
    """Return the evidence with the slices of the named arm and its rival."""
    if arm is None:
        missing = {**evidence.missing, "slices": "no arm is named"}
        return evidence.model_copy(update={"missing": missing})
    scored = {case.id for case in asking.cases}
    others = [case for case in asking.loaded.everyone if case.id not in scored]
    table = slices(asking.runner.task, asking.cases, asking.runs, (arm, rival), others)
    return evidence.model_copy(update={"slices": (table,) if table else ()})
