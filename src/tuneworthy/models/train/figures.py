"""Compute a training run's summary figures, and check that it learned."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch

from tuneworthy.models.local.device import exact
from tuneworthy.models.train.training_data import EncodedExample
from tuneworthy.records.errors import NumericError

_LEAST_LOSS = 1e-3  # nats a token; below it a gradient may round to zero
_MOST_RISE = 0.5  # nats a token by which the loss of the first rows may rise over the run


def summary(
    history: dict[str, Any], ids: Sequence[str], rows: Sequence[EncodedExample]
) -> dict[str, Any]:
    """Return the figures of one run from its steps and rows, as its trace stores them.

    `history` is what `loop.train` returns. `seconds` is training alone, without saving and scoring.
    `tokens_per_second` counts every token of the rows, as if no prompt were shared.
    """
    read = sum(step["read"] for step in history["steps"])
    answers = sum(row.trained for row in rows)
    clipped = sum(step["clipped"] for step in history["steps"])
    return {
        "steps": history["steps"],
        "loss_by_row": {"ids": list(ids), "epochs": history["by_row"]},
        "mask_share": answers / sum(len(row.ids) for row in rows),
        "answer_tokens": answers,
        "truncated": 0,  # a row is trained in full or left out; none is cut
        "clip_rate": clipped / len(history["steps"]),
        "seconds": history["seconds"],
        "tokens_per_second": read / history["seconds"],
    }


def update_ratio(wrapped: Any) -> dict[str, float]:
    """Return by layer number an adapter's relative weight change (ratio of Frobenius norms).

    The change of a matrix is scaling * B A; trace((B'B)(AA')) is the squared norm of B A without
    computing B A. With DoRA it is m / ‖W + scaling * B A‖ * (W + scaling * B A) - W, computed in
    full.
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
            square = _squared_dora_change(layer, b @ a)
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
    """Return full tuning's relative weight change (ratio of Frobenius norms).

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


def _squared_dora_change(layer: Any, low: Any) -> float:
    weight = exact(layer.get_base_layer().weight.detach())
    whole = weight + layer.scaling["default"] * low
    size = exact(layer.lora_magnitude_vector["default"].weight.detach())
    gain = size / torch.linalg.vector_norm(whole, dim=1)
    return float(torch.linalg.vector_norm(gain[:, None] * whole - weight)) ** 2


def check_learned(
    history: dict[str, Any], update_ratios: dict[str, float], vocabulary: int
) -> None:
    """Raise NumericError if trained weights are not finite, unchanged, or the run did not learn.

    `update_ratios` are those at the end of training, `history` is what `loop.train` returns.
    """
    if not all(math.isfinite(ratio) for ratio in update_ratios.values()):
        raise _not_learned_error(
            "the trained weights are not finite", f"update ratios {update_ratios}"
        )
    if not any(update_ratios.values()):
        raise _not_learned_error(
            "training changed nothing: the weights still equal the base's", "all zero"
        )
    end = history["steps"][-1]
    if end["norm"] == 0 and end["loss"] > _LEAST_LOSS:
        raise _not_learned_error(
            "the gradient vanished: an activation overflowed", f"loss {end['loss']:.2f}"
        )
    last = history["by_row"][-1]
    mean = sum(last) / len(last)
    if mean > math.log(vocabulary) + 1:
        raise _not_learned_error(
            "training ended worse than a uniform guess", f"loss {mean:.2f} a token"
        )
    if len(history["by_row"]) > 1 and (worse := _loss_rise(history)) > _MOST_RISE:
        raise _not_learned_error(
            "training made its own rows less likely",
            f"loss {worse:+.2f} a token on the first rows, from their first to their last reading",
        )


def _loss_rise(history: dict[str, Any]) -> float:
    """Return the rise in mean loss of the first step's rows, from the first to the last epoch."""
    first, last = history["first"], history["by_row"][-1]
    return float(sum(last[row] - history["by_row"][0][row] for row in first) / len(first))


def _not_learned_error(what: str, got: str) -> NumericError:
    return NumericError(
        what, got=got, fix="lower the option `rate`, train on more rows, or leave this arm out"
    )
