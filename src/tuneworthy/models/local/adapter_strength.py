"""Multiply an adapter's change to the weights by a number, its strength.

At 0 the model is the base, at 1 the adapter as it was trained, beyond 1 the change is exaggerated.
Weights are shared with the base.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

from tuneworthy.models.local.adapter_hooks import Adapter
from tuneworthy.models.local.forward import adapted_net
from tuneworthy.records.errors import ModelError


def at_strength(base: Any, tuned: Any, strength: float) -> Any:
    """Return `base` with the adapter of `tuned`, whose change is multiplied by `strength`.

    Raises ModelError if `tuned` has no adapter, or one whose change has no scale (DoRA).
    """
    if tuned.adapter is None:
        raise ModelError("this model has no adapter whose strength could be set", got=tuned.spec)
    adapter = scaled(tuned.adapter, strength)
    if strength == 0:
        return base
    other = copy.copy(base)
    other.adapter, other.net = adapter, adapted_net(base.net, adapter)
    other.fingerprint = {**tuned.fingerprint, "strength": repr(float(strength))}
    return other


def scaled(adapter: Adapter, strength: float) -> Adapter:
    """Return a copy of the adapter whose changes' scales are multiplied. Raises ModelError."""
    if not math.isfinite(strength):
        raise ModelError("the strength of an adapter is no number", got=str(strength))
    if adapter.gains:
        raise ModelError(
            "the strength of this adapter can't be set: it also scales the layers' outputs (DoRA)",
            fix="train a LoRA",
        )
    changes = {
        name: (first, second, scale * strength)
        for name, (first, second, scale) in adapter.changes.items()
    }
    return replace(adapter, changes=changes)
