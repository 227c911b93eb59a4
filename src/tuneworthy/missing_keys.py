"""Say which models lack their API key before anything is asked: no look is spent in vain."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.errors import TaskError
from tuneworthy.core.plugins import load
from tuneworthy.core.specs import specs, unmet_needs
from tuneworthy.core.task import Task
from tuneworthy.measure.model_roles import BASE, ROLES
from tuneworthy.models import lacks_key
from tuneworthy.models._roles import wanted_models

_FIX = "set OPENAI_API_KEY and run again"


def refuse_without_key(task: Task, available: Mapping[str, str]) -> None:
    """Raise TaskError if an arm asks the base model and its endpoint has no key."""
    if BASE in (lacking := _keyless(task, available)):
        raise TaskError("there is no key for this endpoint", where="task.yaml model",
                        got=lacking[BASE], fix=_FIX,
                        kept="everything: nothing was asked, no look was spent")  # fmt: skip


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
    asked: set[str] = {"judge"}
    for spec in specs(task):
        needs: Collection[str] = load("arms", spec.arm).NEEDS
        if not unmet_needs(spec, available):
            asked |= {ROLES[need] for need in needs if need in ROLES}
    return {r: s for r, s in wanted_models(task).items() if r in asked and lacks_key(s)}
