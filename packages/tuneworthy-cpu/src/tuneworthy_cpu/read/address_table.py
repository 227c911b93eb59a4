"""The address table of a model's weights, with which one call of compiled code runs all layers.

A call with array arguments unpacks each array first; addresses are plain numbers in a table. Knows
no product and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.extending import register_jitable

from tuneworthy_cpu.compiled import as_array
from tuneworthy_cpu.gemm.products import array_at

LINEAR = 6  # table entries of a linear layer


@dataclass(frozen=True)
class LayerAddresses:
    """Addresses and sizes of all layers' weights, for `decode_step`.

    `places` has a row for each layer. For each of its seven linear layers: weight, out, in, bias,
    the B of a change (0: none) and its ranks; for the four inputs: the A of all changes, its ranks;
    for the four norms: weight, size. `numbers` are eps of the norms and the scale of the scores.
    `last` are weight and eps of the final norm, and the output layer [vocabulary, hidden], which
    has no rows if it is computed elsewhere. `held` are the tensors, kept alive. `shared`: threads
    may share a product.
    """

    places: Any
    numbers: Any
    last: tuple[Any, float, Any]
    held: list[Any]
    shared: bool


def open_layers(
    layers: Sequence[Any], norm: tuple[Any, float], head: Any, shared: bool
) -> LayerAddresses:
    """Return the address table of the layers (`decoder.Layer`), without copying weights.

    `norm` (weight, eps) and `head` (a `FusedLinear`) follow the layers.
    """
    places: list[list[int]] = []
    numbers: list[list[float]] = []
    held: list[Any] = []

    def at(tensor: Any) -> int:
        if tensor is None:
            return 0
        held.append(tensor.detach().contiguous())
        return int(held[-1].data_ptr())

    for layer in layers:
        row, firsts = [], []
        for group in (layer.into, layer.out, layer.up, layer.down):
            seconds = group.b or [None] * len(group.weights)
            for weight, bias, second in zip(group.weights, group.biases, seconds, strict=True):
                ranks = 0 if second is None else second.shape[1]
                row += [at(weight), *weight.shape, at(bias), at(second), ranks]
            firsts += [at(group.a), 0 if group.a is None else len(group.a)]
        given = layer.first, layer.second, layer.q_norm, layer.k_norm
        norms = [norm or (None, 0.0) for norm in given]
        row += firsts
        for weight, _ in norms:
            row += [at(weight), 0 if weight is None else len(weight)]
        places.append(row)
        numbers.append([*(float(eps) for _, eps in norms), layer.scale])
    in_step = shared and head.plain and head.biases[0] is None
    weight = head.weights[0] if in_step else head.weights[0][:0]
    last = as_array(norm[0]), norm[1], as_array(weight.detach())
    return LayerAddresses(np.array(places), np.array(numbers), last, held, shared)


@register_jitable
def _linear(like: Any, at: Any) -> Any:
    """Return weight [out, in], bias [1 or 0, out] and the B of a change [out, ranks or 0]."""
    bias = array_at(like, at[3], (min(1, at[3]), at[1]))
    return array_at(like, at[0], (at[1], at[2])), bias, array_at(like, at[4], (at[1], at[5]))


@register_jitable
def _first(like: Any, at: Any, number: Any, size: Any) -> Any:
    start = 7 * LINEAR + 2 * number
    return array_at(like, at[start], (at[start + 1], size))


@register_jitable
def _norm(like: Any, at: Any, number: Any) -> Any:
    start = 7 * LINEAR + 8 + 2 * number
    return array_at(like, at[start], at[start + 1])


@register_jitable
def weights_of(x: Any, at: Any, numbers: Any) -> Any:
    """In compiled code: return a layer's weights, by its table entries (`LayerAddresses`)."""
    linears = (
        _linear(x, at[:LINEAR]), _linear(x, at[LINEAR:]), _linear(x, at[2 * LINEAR :]),
        _linear(x, at[3 * LINEAR :]), _linear(x, at[4 * LINEAR :]),
        _linear(x, at[5 * LINEAR :]), _linear(x, at[6 * LINEAR :]),
    )  # fmt: skip
    hidden, seen, inner = x.shape[1], linears[3][0].shape[1], linears[6][0].shape[1]
    firsts = (
        _first(x, at, 0, hidden), _first(x, at, 1, seen), _first(x, at, 2, hidden),
        _first(x, at, 3, inner),
    )  # fmt: skip
    norms = _norm(x, at, 0), _norm(x, at, 1), _norm(x, at, 2), _norm(x, at, 3)
    eps = numbers[0], numbers[1], numbers[2], numbers[3]
    return linears, firsts, norms, eps, numbers[4], array_at(x, 0, (0, 0))
