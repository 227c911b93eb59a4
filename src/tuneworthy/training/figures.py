"""Summary figures of a training run: shares, speed, size of the change; and whether it learned."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch

from tuneworthy.core.errors import NumericError
from tuneworthy.models.local.device import exact
from tuneworthy.training.render import EncodedExample

_LEAST_LOSS = 1e-3  # nats a token; below it a gradient may round to zero
_MOST_RISE = 0.5  # nats a token by which the loss of the first rows may rise over the run


def summary(
    told: dict[str, Any], ids: Sequence[str], rows: Sequence[EncodedExample]
) -> dict[str, Any]:
    """Return the figures of one run. `seconds` is training alone, without saving and scoring.

    `clip_rate` is None where the trainer does not tell gradients.
    `tokens_per_second` counts every token of the rows, as if no prompt were shared.
    """
    read = sum(step["read"] for step in told["steps"])
    answers = sum(row.trained for row in rows)
    clipped = [step["clipped"] for step in told["steps"]]
    return {
        "steps": told["steps"],
        "loss_by_row": {"ids": list(ids), "epochs": told["by_row"]},
        "mask_share": answers / sum(len(row.ids) for row in rows),
        "answer_tokens": answers,
        "truncated": 0,  # a row is trained in full or left out; none is cut
        "clip_rate": None if None in clipped else sum(clipped) / len(clipped),
        "seconds": told["seconds"],
        "tokens_per_second": read / told["seconds"],
    }


def update_ratio(wrapped: Any) -> dict[str, float]:
    """Return, by layer number, the Frobenius norm of the weight change over that of the weights.

    The change of a matrix is scaling * B A; its norm is trace((B'B)(AA')), which avoids computing B
    A. With DoRA it is m / ‖W + scaling * B A‖ * (W + scaling * B A) - W, computed in full.
    """
    change: dict[str, float] = {}
    weight: dict[str, float] = {}
    for name, layer in wrapped.named_modules():
        if not hasattr(layer, "lora_A") or "default" not in getattr(layer, "lora_A", {}):
            continue
        a = exact(layer.lora_A["default"].weight.detach())
        b = exact(layer.lora_B["default"].weight.detach())
        match = re.search(r"\.(\d+)\.", name)
        layer_number = match.group(1) if match else name
        if "default" in layer.lora_magnitude_vector:
            square = _dora_square(layer, b @ a)
        else:
            square = float(((b.T @ b) * (a @ a.T)).sum()) * layer.scaling["default"] ** 2
        change[layer_number] = change.get(layer_number, 0.0) + max(square, 0.0)
        norm = float(torch.linalg.vector_norm(layer.get_base_layer().weight.detach()))
        weight[layer_number] = weight.get(layer_number, 0.0) + norm**2
    return {
        layer_number: math.sqrt(change[layer_number] / weight[layer_number])
        for layer_number in change
        if weight[layer_number]
    }


def whole_update_ratio(base: Any, tuned: Any) -> dict[str, float]:
    """Return the same for a model whose weights were all trained, beside its base.

    By layer number, over all of the layer's weights; by name for weights outside of the layers.
    """
    change: dict[str, float] = {}
    weight: dict[str, float] = {}
    before = dict(base.named_parameters())
    for name, after in tuned.named_parameters():
        match = re.search(r"\.(\d+)\.", name)
        key = match.group(1) if match else name
        new = after.detach()  # in the precision of training: double would take another gigabyte
        old = before[name].detach().to(new.dtype)
        for sums, part in ((change, new - old), (weight, old)):
            sums[key] = sums.get(key, 0.0) + float(torch.linalg.vector_norm(part)) ** 2
    return {key: math.sqrt(change[key] / weight[key]) for key in change if weight[key]}


def _dora_square(layer: Any, low: Any) -> float:
    weight = exact(layer.get_base_layer().weight.detach())
    whole = weight + layer.scaling["default"] * low
    size = exact(layer.lora_magnitude_vector["default"].weight.detach())
    gain = size / torch.linalg.vector_norm(whole, dim=1)
    return float(torch.linalg.vector_norm(gain[:, None] * whole - weight)) ** 2


def check_learned(told: dict[str, Any], ratios: dict[str, float], vocabulary: int) -> None:
    """Raise NumericError if training is not finite, changed nothing or did not learn.

    `ratios` are those of `update_ratio` at the end of training.
    """
    if not all(math.isfinite(ratio) for ratio in ratios.values()):
        raise _failed("the trained weights are not finite", f"update ratios {ratios}")
    if not any(ratios.values()):
        raise _failed("training changed nothing: the weights still equal the base's", "all zero")
    end = told["steps"][-1]
    if end["norm"] == 0 and end["loss"] > _LEAST_LOSS:
        raise _failed("the gradient vanished: an activation overflowed", f"loss {end['loss']:.2f}")
    last = told["by_row"][-1]
    mean = sum(last) / len(last)
    if mean > math.log(vocabulary) + 1:
        raise _failed("training ended worse than a uniform guess", f"loss {mean:.2f} a token")
    if len(told["by_row"]) > 1 and (worse := _rise(told)) > _MOST_RISE:
        raise _failed(
            "training made its own rows less likely",
            f"loss {worse:+.2f} a token on the first rows, from their first to their last reading",
        )


def _rise(told: dict[str, Any]) -> float:
    """Return the increase in loss of the first step's rows, first read before any update."""
    first, last = told["first"], told["by_row"][-1]
    return float(sum(last[row] - told["by_row"][0][row] for row in first) / len(first))


def _failed(what: str, got: str) -> NumericError:
    return NumericError(
        what, got=got, fix="lower the option `rate`, train on more rows, or leave this arm out"
    )
