"""One token of one row through a decoder layer, as one compiled loop: for answers asked alone.

A step of one row multiplies each weight once: it takes as long as reading them from memory, and
calls by the thousand took as long again (FINDINGS). Here a layer is one call on the calling
thread. Sums are fp32 (fp64 for fp64), and numbers are rounded where the layer hands them on. Knows
no sampling and no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from tuneworthy.models._compiled import bits, compiled, exp, get, larger, put, wide, wide_of
from tuneworthy.models._kernels import whole


@register_jitable
def _normed(x: Any, weight: Any, eps: Any, out: Any) -> None:
    """Write RMSNorm of x, rounded as `weight` is, into `out`."""
    total = wide(weight, 0.0)
    for k in range(len(x)):
        total += x[k] * x[k]
    factor = wide(weight, 1.0) / np.sqrt(total / wide(weight, len(x)) + wide(weight, eps))
    for k in range(len(x)):
        out[k] = x[k] * factor * get(weight, k)


@register_jitable
def _dot(row: Any, x: Any) -> Any:
    total = wide(row, 0.0)
    for k in range(len(x)):
        total += get(row, k) * x[k]
    return total


@register_jitable
def _product(rows: Any, x: Any, out: Any) -> None:
    for n in range(len(rows)):
        out[n] = _dot(rows[n], x)


@register_jitable
def _linear(layer: Any, x: Any, low: Any, out: Any) -> Any:
    """Write W x + b + B low into `out`; return the `low` that is left. b and B may be empty."""
    weight, bias, second = layer
    _product(weight, x, out)
    for n in range(len(bias)):
        out[n] += get(bias, n)
    ranks = second.shape[1]
    for n in range(len(second)):
        out[n] += _dot(second[n], low[:ranks])
    return low[ranks:]


@register_jitable
def _turned(x: Any, cos: Any, sin: Any) -> None:
    """Turn one head by its position (RoPE), where it lies."""
    half = len(cos)
    for k in range(half):
        a, b, c, s = x[k], x[half + k], get(cos, k), get(sin, k)
        x[k], x[half + k] = a * c - b * s, b * c + a * s


@register_jitable
def _add(weights: Any, rows: Any, out: Any) -> None:
    """Add the first rows by their weights, four at a time; an odd length of `out` is slow."""
    whole = len(weights) // 4 * 4
    for n in range(0, whole, 4):
        a, b, c, d = rows[n], rows[n + 1], rows[n + 2], rows[n + 3]
        for k in range(len(out)):
            near = weights[n] * get(a, k) + weights[n + 1] * get(b, k)
            out[k] += near + weights[n + 2] * get(c, k) + weights[n + 3] * get(d, k)
    for n in range(whole, len(weights)):
        for k in range(len(out)):
            out[k] += weights[n] * get(rows[n], k)


@register_jitable
def _shares(scores: Any, like: Any) -> None:
    """Turn scores into attention weights, where they lie: their softmax."""
    top = wide(like, -np.inf)
    for j in range(len(scores)):
        top = larger(scores[j], top)
    total = top - top
    for j in range(len(scores)):
        scores[j] = exp(like, scores[j] - top)
        total += scores[j]
    share = wide(like, 1.0) / total
    for j in range(len(scores)):
        scores[j] *= share


@register_jitable
def _hidden(scores: Any, hide: Any, stop: Any) -> None:
    """Let the first `hide` columns and those from `stop` on, which may hold anything, count 0."""
    for j in range(hide):
        scores[j] = -np.inf
    for j in range(stop, len(scores)):
        scores[j] = -np.inf


@register_jitable
def _attend(q: Any, held: Any, place: Any, table: Any, out: Any) -> None:
    """Write what one head's query sees of the prefix and of its own row."""
    (keys, values, old_keys, old_values), (hide, stop, scale) = held, place
    past, none = len(old_values), wide(keys, 0.0)
    for w in range(len(q)):
        q[w] *= scale
        out[w] = none
    for j in range(len(table)):
        table[j] = none
    _add(q, old_keys, table[:past])
    _add(q, keys, table[past:])
    _hidden(table[past:], hide, stop)
    _shares(table, keys)
    _add(table[:past], old_values, out)
    _add(table[past:], values, out)


@compiled
def _layer(x: Any, weights: Any, turn: Any, rooms: Any, place: Any, rough: Any) -> None:
    linears, firsts, norms, eps, scale = weights
    (cos, sin), (keys, values, old_keys, old_values) = turn, rooms
    (filled, hidden, end), (wide_x, inner, heads, seen, low, both, scores) = place, rough
    kept, width, size = values.shape[0], values.shape[2], len(linears[4][0])
    count = len(heads) // width - 2 * kept
    for k in range(len(x)):
        wide_x[k] = get(x, k)

    # 1. Queries, keys and values; keys and values go behind those of the tokens before.
    _normed(wide_x, norms[0], eps[0], inner)
    _product(firsts[0], inner, low)
    q = len(linears[0][0])  # where the keys begin, and then the values
    v = q + len(linears[1][0])
    rest = _linear(linears[0], inner, low, heads)
    rest = _linear(linears[1], inner, rest, heads[q:])
    _linear(linears[2], inner, rest, heads[v:])
    for h in range(count + kept):
        head, which = heads[h * width : (h + 1) * width], 2 + (h >= count)
        if len(norms[which]):
            _normed(head, norms[which], eps[which], head)
        _turned(head, cos, sin)
    for h in range(kept):
        for w in range(width):
            put(keys, (h, w, filled), heads[q + h * width + w])
            put(values, (h, filled, w), heads[v + h * width + w])

    # 2. Attention, head by head.
    table = scores[: old_values.shape[1] + end]
    for h in range(count):
        g, own = h * kept // count, slice(h * width, (h + 1) * width)
        held = (keys[g], values[g], old_keys[g], old_values[g])
        _attend(heads[own], held, (hidden, filled + 1, wide(x, scale)), table, seen[own])
    _product(firsts[1], seen, low)
    _linear(linears[3], seen, low, inner)
    for k in range(len(x)):
        wide_x[k] += inner[k]

    # 3. The MLP.
    _normed(wide_x, norms[1], eps[1], inner)
    _product(firsts[2], inner, low)
    gate, up = both[:size], both[size:]
    rest = _linear(linears[4], inner, low, gate)
    _linear(linears[5], inner, rest, up)
    for k in range(size):
        up[k] *= gate[k] / (wide(x, 1.0) + exp(x, -gate[k]))
    _product(firsts[3], up, low)
    _linear(linears[6], up, low, inner)
    for k in range(len(x)):
        put(x, k, wide_x[k] + inner[k])


def open_layer(fans: Sequence[Any], norms: Sequence[Any], scale: float) -> tuple[Any, ...]:
    """Return a layer's weights as the loop reads them, without a copy.

    `fans` are its linear layers (`_decoder.Fan`): q, k, v; o; gate, up; down. `norms` are (weight,
    eps) of the input, of the MLP's input, of queries and of keys, the last two or None.
    """
    like = fans[0].weights[0]
    none, flat = like.new_empty(0), like.new_empty(0, 0)
    linears, firsts = [], []
    for fan in fans:
        seconds = fan.b or [None] * len(fan.weights)
        for weight, bias, second in zip(fan.weights, fan.biases, seconds, strict=True):
            given = (weight, none if bias is None else bias, flat if second is None else second)
            linears.append(tuple(map(_bits, given)))
        firsts.append(_bits(flat if fan.a is None else fan.a))
    parts = [norm or (none, 0.0) for norm in norms]
    eps = tuple(float(norm[1]) for norm in parts)
    return tuple(linears), tuple(firsts), tuple(_bits(norm[0]) for norm in parts), eps, scale


def _bits(tensor: Any) -> Any:
    return bits(tensor.detach().contiguous())


def _rough(layer: tuple[Any, ...], kind: Any, most: int) -> tuple[Any, ...]:
    """Return memory for what a layer writes on the way, for rows of up to `most` tokens."""
    linears, firsts = layer[:2]
    hidden, size = len(linears[3][0]), len(linears[4][0])
    heads = sum(len(part[0]) for part in linears[:3])
    sides = (hidden, hidden, heads, len(linears[0][0]), max(map(len, firsts)), 2 * size, most)
    return tuple(torch.empty(side, dtype=wide_of(kind)).numpy() for side in sides)


def run(
    x: Any, layers: Sequence[Any], angles: tuple[Any, Any], cache: Any, place: tuple[Any, int]
) -> Any:
    """Take the token x [1, hidden] through all layers (in place) and return it.

    `angles` are cos and sin of its position, [width / 2]; its keys and values go into `cache`
    (turned rooms of `_attention`) behind what is there, of which the first `hidden` columns are
    padding. `place` is the prefix of the row (or None) and `hidden`.
    """
    prefix, hidden = place
    token, turn = bits(x[0]), tuple(map(bits, angles))
    past = prefix.length if prefix else 0
    rough: Any = None
    for number, (layer, room) in enumerate(zip(layers, cache.layers, strict=True)):
        keys, values = room.append()
        if rough is None:
            rough = _rough(layer, x.dtype, past + values.shape[2])
            none = bits(keys[0, ..., :0].contiguous()), bits(values[0, :, :0].contiguous())
        before = prefix.rows[number] if prefix else none
        rooms = (bits(keys[0]), bits(values[0]), *before)
        end = whole(room.filled, values.shape[2])
        _layer(token, layer, turn, rooms, (room.filled - 1, hidden, end), rough)
    return x
