"""Merge an opened adapter into a copy of the base's weights and round them, as exported files do.

`bfloat16` keeps 8 bits of the significand; `int4` keeps 16 steps for each group of 32 weights, as
the 4-bit formats of local engines do. The base stays unchanged. Knows no file.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch

from tuneworthy.core.errors import TaskError
from tuneworthy.models.local.forward import open_net
from tuneworthy.training.twin import twin

GROUP_WEIGHTS = 32  # weights that share a scale
LARGEST_STEP = 7  # the largest of the 16 steps -8 to 7
FORMS = ("bfloat16", "int4")


def merged_rounded(model: Any, form: str) -> Any:
    """Return a copy of the model with its adapter merged in and weights rounded to `form`.

    Embeddings, the output layer and layers without a change keep their weights. Raises TaskError
    for an unknown form.
    """
    if form not in FORMS:
        raise TaskError("no merged form has this name", got=form, fix=f"write {', '.join(FORMS)}")
    module = twin(model.module)
    layers = dict(module.named_modules())
    for name, (first, second, scale) in model.adapter.changes.items():
        layer = layers[name]
        merged = layer.weight.float() + scale * (second.float() @ first.float())
        layer.weight = torch.nn.Parameter(
            rounded(merged, form).to(layer.weight.dtype), requires_grad=False
        )
    other = copy.copy(model)
    other.module, other.adapter = module, None
    other.net = replace(open_net(module), fit=replace(model.net.fit))
    other.fingerprint = {**model.fingerprint, "merged": form}
    return other


def rounded(weight: Any, form: str) -> Any:
    """Return a matrix [outputs, inputs] rounded to the values that `form` can store."""
    if form == "bfloat16":
        return weight.to(torch.bfloat16).float()
    outputs, inputs = weight.shape
    padded = torch.nn.functional.pad(weight, (0, -inputs % GROUP_WEIGHTS))
    groups = padded.view(outputs, -1, GROUP_WEIGHTS)
    scale = groups.abs().amax(-1, keepdim=True).clamp_min(1e-12) / LARGEST_STEP
    steps = (groups / scale).round().clamp(-LARGEST_STEP - 1, LARGEST_STEP)
    return (steps * scale).view(outputs, -1)[:, :inputs]
