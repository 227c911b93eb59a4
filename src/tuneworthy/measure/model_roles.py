"""Map an arm's needs to model roles, and report models that can't be opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tuneworthy.models import is_local
from tuneworthy.records.errors import (
    DataError,
    ModelError,
    NotProven,
    NumericError,
    ProviderError,
    TaskError,
    TrainerFailed,
    TuneworthyError,
    Unanswered,
)
from tuneworthy.records.model import Model
from tuneworthy.records.reason import Reason, Why
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import needs_of_arm

BASE_ROLE = "base"
# The model role of each need of an arm.
ROLE_OF_NEED = {"model": BASE_ROLE, "training": "tune", "present": "present", "bigger": "bigger",
         "decision": "decision", "teacher": "teacher", "reflection": "reflection"}  # fmt: skip
_OPENING_ERRORS = (TaskError, DataError, ModelError, NumericError, ProviderError)


def roles_of(models: Mapping[str, Model], spec: Spec) -> list[str]:
    """Return a sorted list of the roles of available models that an arm asks."""
    needs = needs_of_arm(spec)
    return sorted({ROLE_OF_NEED[need] for need in needs & set(ROLE_OF_NEED)} & set(models))


def is_base(models: Mapping[str, Model], role: str) -> bool:
    """Return whether a role is the study's base model, without which the study can't run."""
    known: Callable[[str], bool] = getattr(models, "is_base", lambda role: role == BASE_ROLE)
    return known(role)


def base_failed(models: Mapping[str, Model], spec: Spec, error: ProviderError) -> bool:
    """Return whether this endpoint error is the base model's, so that the study must stop.

    If the arm uses a local model and one behind an endpoint, the failure is that of the endpoint.
    An adapter that was not proved (NotProven) or a teacher that left inputs unanswered for now
    (Unanswered), or a command that did not train (TrainerFailed), is the arm's own failure.
    """
    if isinstance(error, NotProven | TrainerFailed | Unanswered):
        return False
    roles = roles_of(models, spec)
    remote = [role for role in roles if not is_local(models[role].spec)]
    return any(is_base(models, role) for role in remote or roles)


def why_not_opened(models: Mapping[str, Model], spec: Spec) -> Reason | None:
    """Return why a model of an arm can't be opened, or None; the other arms go on without it.

    Raises the error if it is the base model.
    """
    for role in roles_of(models, spec):
        try:
            models[role]
        except _OPENING_ERRORS as error:
            if is_base(models, role):
                raise
            return unavailable_note(error)
    return None


def unavailable_note(error: TuneworthyError) -> Reason:
    """Return an error of an arm's model or trainer as the reason why the arm has no answers."""
    about = ", ".join(filter(None, (error.what, error.where, error.got)))
    text = f"it was not trained: {about}" if isinstance(error, TrainerFailed) else ""
    return Reason(why=Why.MODEL_UNAVAILABLE, about=about, text=text)
