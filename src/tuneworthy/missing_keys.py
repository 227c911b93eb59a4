"""Say which models lack their API key, or have a wrong one, before anything is asked.

So no look at the scored rows is spent in vain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.errors import ProviderError, TaskError, TuneworthyError
from tuneworthy.core.plugins import load
from tuneworthy.core.specs import specs, unmet_needs
from tuneworthy.core.task import Task
from tuneworthy.measure.model_roles import BASE, ROLES
from tuneworthy.models import is_launched, is_local, lacks_key
from tuneworthy.models._roles import wanted_models

_FIX = "set OPENAI_API_KEY and run again"
_KEPT = "everything: nothing was asked, no look was spent"


def refuse_without_key(task: Task, available: Mapping[str, str], models: Mapping[str, Any]) -> None:
    """Raise TaskError if an arm asks the base model and its endpoint has no key.

    Raises ProviderError where the endpoint refuses the key. `models` are those of the task by role.
    """
    if BASE in (lacking := _keyless(task, available)):
        raise TaskError("there is no key for this endpoint", where="task.yaml model",
                        got=lacking[BASE], fix=_FIX,
                        kept=_KEPT)  # fmt: skip
    served = is_local(task.model) or is_launched(task.model)
    if served or BASE not in set(models) or BASE not in _asked(task, available):
        return
    if why := _refused(models):
        raise ProviderError("the endpoint refuses this key", where="OPENAI_API_KEY", got=why,
                            fix="set a key of this endpoint and run again",
                            kept=_KEPT)  # fmt: skip


def _refused(models: Mapping[str, Any]) -> str:
    """Return what the base model's server says of a key that it refuses, else ""."""
    try:
        refusal = getattr(models[BASE], "key_refusal", None)
    except TuneworthyError:  # it can't be opened: the arm that asks it says why
        return ""
    return "" if refusal is None else str(refusal())


def key_notice(task: Task, available: Mapping[str, str] = {}) -> str:
    """Return what a run without the key would do, "" where no asked model lacks one."""
    lacking = _keyless(task, available)
    if not lacking:
        return ""
    names = ", ".join(dict.fromkeys(lacking.values()))
    ends = "ends before anything is asked" if BASE in lacking else "skips the arms that ask it"
    return f"OPENAI_API_KEY is not set: without it `run` can't ask {names}, and {ends}"


def key_observations(task: Task) -> list[Observation]:
    """Return the warning that a key is not set, if there is one to give."""
    notice = key_notice(task)
    return [Observation(kind="no_key", level="warning", text=notice, count=1,
                        fix="set OPENAI_API_KEY before `run`")] if notice else []  # fmt: skip


def _keyless(task: Task, available: Mapping[str, str]) -> dict[str, str]:
    """Return {role: spec} of the models that arms ask and whose endpoint has no key."""
    asked = _asked(task, available)
    return {r: s for r, s in wanted_models(task).items() if r in asked and lacks_key(s)}


def _asked(task: Task, available: Mapping[str, str]) -> set[str]:
    """Return the roles whose models are asked: the judge, and those that arms need."""
    asked: set[str] = {"judge"}
    for spec in specs(task):
        needs: Collection[str] = load("arms", spec.arm).NEEDS
        if not unmet_needs(spec, available):
            asked |= {ROLES[need] for need in needs if need in ROLES}
    return asked
