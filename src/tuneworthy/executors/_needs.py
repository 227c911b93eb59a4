"""Compute the resources that one process on a node needs for a study."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from tuneworthy.core.errors import TuneworthyError
from tuneworthy.core.model import Model
from tuneworthy.core.plugins import load
from tuneworthy.core.specs import specs
from tuneworthy.core.task import Task
from tuneworthy.executors._cluster import Need
from tuneworthy.measure.model_roles import roles_of
from tuneworthy.models import is_local

BASE_BYTES = 1 << 29  # of a process without a model
_BYTES_PER_MODEL_BYTE = 1.1  # memory used for each byte that a model's parts need


def need_of(task: Task, models: Mapping[str, Model]) -> Need:
    """Return the resources that a process needs to hold every local model of the study's arms.

    Memory is the same estimate by which opening a model is refused: weights and one full batch.
    Training memory is checked on the node, against what is free there then.
    """
    roles = {
        role for spec in specs(task) for role in roles_of(models, load("arms", spec.arm).NEEDS)
    }
    held: dict[str, tuple[int, Mapping[str, str]]] = {}
    for role in sorted(roles):
        with suppress(TuneworthyError):  # an arm whose model can't be opened says so itself
            model = models[role]
            if is_local(model.spec):
                held[model.spec] = _model_bytes(model), model.fingerprint
    marks = [mark for _, mark in held.values()]
    return Need(
        gpus=int(any(mark.get("device") == "cuda" for mark in marks)),
        memory=BASE_BYTES + int(_BYTES_PER_MODEL_BYTE * sum(size for size, _ in held.values())),
        threads=max((int(mark.get("threads", 0)) for mark in marks), default=0),
    )


def _model_bytes(model: Model) -> int:
    if not hasattr(model, "module"):
        return 0
    from tuneworthy.models.local.sizes import memory_of

    return memory_of(model)
