"""Make a smaller student of a local model: the same weights without some of its layers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from tuneworthy.records.errors import ModelError
from tuneworthy.records.record import digest


def kept_layers(count: int, every: int) -> list[int]:
    """Return the indexes of the layers to keep: one of `every`, evenly spaced, first and last too.

    The last layer stays because the output layer was trained on its outputs.
    """
    most = max(1, -(-count // every))
    if most == 1:
        return [count - 1]
    return [round(at * (count - 1) / (most - 1)) for at in range(most)]


def without_layers(model: Any, every: int) -> Any:
    """Return an engine that keeps one of `every` layers of a local engine, which is not changed.

    The layers share their weights with the model's, so the copy takes no memory for them. Its
    fingerprint names the layers, so an adapter for it fits no other model. Raises ModelError if
    the model's layers can't be left out. A wrapped engine returns a wrapped one.
    """
    if (own := getattr(type(model), "without_layers", None)) is not None:
        return own(model, every)
    module = _copied(model.module)
    body, config = module.get_decoder(), module.config.get_text_config(decoder=True)
    layers = getattr(body, "layers", None)
    if layers is None or len(layers) != config.num_hidden_layers or len(layers) < every:
        raise ModelError(
            "the layers of this model can't be left out",
            where=model.spec,
            got=f"{getattr(config, 'num_hidden_layers', None)} layers, one of {every} to keep",
            fix="distil into another student: `student: tune`",
        )
    kept = kept_layers(len(layers), every)
    _keep(body, config, kept)
    named = ",".join(map(str, kept))
    marks = {**model.fingerprint, "layers": named,
             "weights": digest([model.fingerprint["weights"], named])}  # fmt: skip
    spec = f"{model.spec} with {len(kept)} of {len(layers)} layers"
    other = type(model)(spec, module, model.tokenizer, marks, model.thinking)
    other.net.fit.rows = model.net.fit.rows
    return other


def _copied(module: Any) -> Any:
    import torch

    shared = {
        id(weight): torch.nn.Parameter(weight.detach(), requires_grad=False)
        for weight in module.parameters()
    }
    return copy.deepcopy(module, shared).eval()


def _keep(body: Any, config: Any, kept: Sequence[int]) -> None:
    """Reduce `body` to the `kept` layers; number them anew, because the cache is by number."""
    import torch

    body.layers = torch.nn.ModuleList([body.layers[at] for at in kept])
    for number, layer in enumerate(body.layers):
        for part in layer.modules():
            if hasattr(part, "layer_idx"):
                part.layer_idx = number
    config.num_hidden_layers = len(kept)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[at] for at in kept]
