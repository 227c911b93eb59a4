"""Which models an arm asks, and what becomes of the arm where one of them can't be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tuneworthy.core.errors import (
    DataError,
    ModelError,
    NumericError,
    ProviderError,
    TaskError,
    TuneworthyError,
)
from tuneworthy.core.model import Model
from tuneworthy.core.run import NOT_ASKED

BASE = "base"
# Which model an arm with this need is asked with.
ROLES = {"model": BASE, "training": "tune", "present": "present", "bigger": "bigger",
         "teacher": "teacher", "reflection": "reflection"}  # fmt: skip
_REFUSED = (TaskError, DataError, ModelError, NumericError, ProviderError)


def roles_of(models: Mapping[str, Model], needs: Iterable[str]) -> list[str]:
    """Return the roles of the models that an arm with these needs asks, as far as there are any."""
    return sorted({ROLES[need] for need in set(needs) & set(ROLES)} & set(models))


def is_base(models: Mapping[str, Model], role: str) -> bool:
    """Return whether a role is that of the model the study is about: without it there is none."""
    known: Callable[[str], bool] = getattr(models, "is_base", lambda role: role == BASE)
    return known(role)


def unopened(models: Mapping[str, Model], needs: Iterable[str]) -> str:
    """Return why a model that an arm asks can't be opened, or "": the other arms go on without it.

    Raises what went wrong where it is the base model.
    """
    for role in roles_of(models, needs):
        try:
            models[role]
        except _REFUSED as error:
            if is_base(models, role):
                raise
            return not_asked(error)
    return ""


def not_asked(error: TuneworthyError) -> str:
    """Return in one line why an arm has no answers: what was wrong with its model, and where."""
    return f"{NOT_ASKED}: " + ", ".join(
        part for part in (error.what, error.where, error.got) if part
    )
