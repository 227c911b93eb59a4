"""Refuse a run without a key or a price that it needs; say why no candidate was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.measure.model_roles import BASE_ROLE, ROLE_OF_NEED
from tuneworthy.models import is_paid, lacks_key
from tuneworthy.models._roles import wanted_models
from tuneworthy.records.audit_report import Observation
from tuneworthy.records.errors import DataError, ModelError, ProviderError, TaskError
from tuneworthy.records.reason import Reason, Why, is_reason
from tuneworthy.records.run import Run
from tuneworthy.records.specs import Available, needs_of_arm, specs, unmet_needs
from tuneworthy.records.task import Task

_SET_KEY_FIX = "set OPENAI_API_KEY and run again"
_NOTHING_ASKED = "everything: nothing was asked, no look was spent"


def refuse_without_key(task: Task, available: Available, models: Mapping[str, Any]) -> None:
    """Raise TaskError if an arm asks the base model and there is no key for its endpoint.

    It is also raised if a model that is asked has no price, and money has a cap. Raises
    ProviderError if the endpoint refuses the key. `models` are the task's models by role.
    """
    if BASE_ROLE in (lacking := _models_without_key(task, available)):
        raise TaskError("there is no key for this endpoint", where="task.yaml model",
                        got=lacking[BASE_ROLE], fix=_SET_KEY_FIX,
                        kept=_NOTHING_ASKED)  # fmt: skip
    asked = _asked_roles(task, available) & set(models)
    paid = {role for role, spec in wanted_models(task).items() if is_paid(spec)}
    for role in (paid & asked) - set(lacking):  # the arms of a role without a key are skipped
        try:
            models[role]
        except TaskError as error:
            error.kept = _NOTHING_ASKED
            raise
    if not is_paid(task.model) or BASE_ROLE not in asked:
        return
    if why := _key_refusal(models):
        raise ProviderError("the endpoint refuses this key", where="OPENAI_API_KEY", got=why,
                            fix="set a key of this endpoint and run again",
                            kept=_NOTHING_ASKED)  # fmt: skip


def _key_refusal(models: Mapping[str, Any]) -> str:
    """Return what the base model's server says when it refuses the key; "" if it accepts it."""
    refusal = getattr(models[BASE_ROLE], "key_refusal", None)
    return "" if refusal is None else str(refusal())


def key_notice(task: Task, available: Mapping[str, Reason | None] = {}) -> str:
    """Return the notice that `OPENAI_API_KEY` is not set and what a run does then; "" if set."""
    lacking = _models_without_key(task, available)
    if not lacking:
        return ""
    names = ", ".join(dict.fromkeys(lacking.values()))
    ends = "ends before anything is asked" if BASE_ROLE in lacking else "skips the arms that ask it"
    return f"OPENAI_API_KEY is not set: without it `run` can't ask {names}, and {ends}"


def key_observations(task: Task) -> list[Observation]:
    """Return [warning that a key is not set], or []."""
    notice = key_notice(task)
    return [Observation(kind="no_key", level="warning", text=notice, count=1,
                        fix="set OPENAI_API_KEY before `run`")] if notice else []  # fmt: skip


def _models_without_key(task: Task, available: Available) -> dict[str, str]:
    """Return {role: spec} of the models that the study asks and that lack their API key."""
    asked = _asked_roles(task, available)
    return {r: s for r, s in wanted_models(task).items() if r in asked and lacks_key(s)}


def _asked_roles(task: Task, available: Available) -> set[str]:
    """Return the roles of the models that the study asks: the judge, and those that arms need."""
    asked: set[str] = {"judge"}
    for spec in specs(task):
        needs = needs_of_arm(spec)
        if not unmet_needs(spec, available):
            asked |= {ROLE_OF_NEED[need] for need in needs if need in ROLE_OF_NEED}
    return asked


def nothing_measured_error(runs: Sequence[Run]) -> Exception:
    """Return the error of a study without a measured candidate."""
    reasons = "; ".join(f"{run.spec.name}: {run.because}" for run in runs if run.because)
    if any(run.state == "failed" or is_reason(run.because, Why.MODEL_UNAVAILABLE) for run in runs):
        return ModelError("no candidate could be measured", where="task.yaml arms", got=reasons,
                          fix="see the reasons")  # fmt: skip
    if any(is_reason(run.because, Why.NO_ROOM) for run in runs):
        return TaskError("no candidate could be measured in the minutes", where="budget.minutes",
                         got=reasons, fix="`tuneworthy run --more 10m` goes on")  # fmt: skip
    fix = "`tuneworthy check` says what the rows can show; add recorded answers or a model"
    for extra in sorted({run.because.about for run in runs
                         if run.because and run.because.why is Why.NOT_INSTALLED}):  # fmt: skip
        fix = f"`pip install '{extra}'` adds arms; {fix}"
    return DataError("no arm applies to these rows", where="task.yaml arms", got=reasons, fix=fix)
