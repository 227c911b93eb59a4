"""One token more of each row through a decoder layer, as one compiled loop on the calling thread.

A step multiplies few numbers with all weights: calls between the products, and waits for memory
that could have come before, took as long as they did (FINDINGS). Sums are fp32 (fp64 for fp64),
and numbers are rounded where a product reads them. Knows no sampling and no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from tuneworthy.models._blocks import fetch
from tuneworthy.models._compiled import bits, compiled, exp, get, larger, put, wide, wide_of
from tuneworthy.models._kernels import gate, rms, whole
from tuneworthy.models._products import address, lying, multiply

_LINEAR = 6  # numbers that say where a linear layer lies


@register_jitable
def _normed(x: Any, weight: Any, eps: Any) -> None:
    """Take the RMSNorm of one head, where it lies."""
    total = wide(weight, 0.0)
    for k in range(len(x)):
        total += x[k] * x[k]
    factor = wide(weight, 1.0) / np.sqrt(total / wide(weight, len(x)) + wide(weight, eps))
    for k in range(len(x)):
        x[k] *= factor * get(weight, k)


@register_jitable
def _turned(x: Any, cos: Any, sin: Any) -> None:
    """Turn one head by its position (RoPE), where it lies."""
    half = len(cos)
    for k in range(half):
        a, b, c, s = x[k], x[half + k], get(cos, k), get(sin, k)
        x[k], x[half + k] = a * c - b * s, b * c + a * s


@register_jitable
def _fan(parts: Any, which: Any, x: Any, low: Any, add: Any, out: Any) -> None:
    """Write the outputs of linear layers that read the same input side by side, plus `add`.

    `which`: the number of their A, of the first of them, and of the one after the last.
    """
    (linears, firsts, none), (number, start, stop) = parts, which
    multiply(x, firsts[number], none, none, none, low)
    at = done = 0
    for k in range(start, stop):
        weight, bias, second = linears[k]
        part, change = out[:, done : done + len(weight)], low[:, at : at + second.shape[1]]
        multiply(x, weight, change, second, add if len(add) else bias, part)
        if len(add) and len(bias):
            for r in range(len(part)):
                for n in range(part.shape[1]):
                    put(part, (r, n), get(part, (r, n)) + get(bias, (0, n)))
        at, done = at + second.shape[1], done + len(weight)


@register_jitable
def _add(weights: Any, rows: Any, out: Any, places: Any, far: Any) -> None:
    """Add rows, by the weights of each query, to its `out`: four rows at a time.

    `places` are where weights begin, how many there are, where `out` begins and how much of it is
    meant; a size that is no whole run is slow. Meanwhile what lies `far` bytes behind a row is
    asked for.
    """
    begin, count, start, size = places
    lines = (size * rows.itemsize + 63) // 64 * (far > 0)
    for n in range(0, count - 3, 4):
        a, b, c, d = rows[n], rows[n + 1], rows[n + 2], rows[n + 3]
        for line in range(lines):
            for row in (a, b, c, d):
                fetch(address(row) + far + line * 64)
        for g in range(len(out)):
            near, by = out[g, start : start + size], weights[g, begin + n : begin + n + 4]
            v, w, x, y = by[0], by[1], by[2], by[3]
            for k in range(len(near)):
                near[k] += v * get(a, k) + w * get(b, k) + (x * get(c, k) + y * get(d, k))
    for n in range(count // 4 * 4, count):
        for g in range(len(out)):
            near, v = out[g, start : start + size], weights[g, begin + n]
            for k in range(len(near)):
                near[k] += v * get(rows[n], k)


@register_jitable
def shares(scores: Any, like: Any, none: Any, stop: Any) -> None:
    """Turn scores into attention weights, where they lie: their softmax.

    Those from none[0] to none[1] and from `stop` on, which may be anything, count 0.
    """
    for j in range(none[0], none[1]):
        scores[j] = -np.inf
    for j in range(stop, len(scores)):
        scores[j] = -np.inf
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
def _ahead(x: Any, sides: Any, none: Any, out: Any) -> None:
    """Multiply each head of x [rows, heads, size] with the side of its kept head, into `out`."""
    group = x.shape[1] // len(sides)
    if len(x) > 1:
        for h in range(x.shape[1]):
            multiply(x[:, h], sides[h // group], none, none, none, out[:, h])
    else:
        for g in range(len(sides)):
            own = slice(g * group, (g + 1) * group)
            multiply(x[0, own], sides[g], none, none, none, out[0, own])


@register_jitable
def _positioned(heads: Any, layer: Any, turn: Any, kept: Any, own: Any) -> None:
    """Norm and turn queries and keys of `heads` [rows, heads, width], where they lie."""
    (norms, eps), count = layer, heads.shape[1] - 2 * kept
    for r in range(len(heads)):
        for h in range(count + kept):
            head, which = own[h], 2 + (h >= count)
            for w in range(len(head)):
                head[w] = get(heads, (r, h, w))
            if len(norms[which]):
                _normed(head, norms[which], eps[which])
            _turned(head, turn[0][r], turn[1][r])
            for w in range(len(head)):
                put(heads, (r, h, w), head[w])


@register_jitable
def _attend(q: Any, held: Any, before: Any, place: Any, table: Any, out: Any) -> None:
    """Write what the queries [group, width] of one head see of their own row.

    `before` [group, past] holds their scores with the prefix and then its attention weights.
    `place`: how many first columns of the row hide, how many are real or hidden, how many of them
    make whole runs; and the length of the prefix, the scale, and `far` as for `_add`.
    """
    (keys, values), (hide, stop, end, past, scale, far) = held, place
    width = values.shape[1]
    table[:, : past + end], out[:] = 0, 0
    for g in range(len(q)):
        for j in range(past):
            table[g, j] = get(before, (g, j)) * scale
    _add(q, keys, table, (0, width, past, end), far)
    for g in range(len(q)):
        shares(table[g, : past + end], keys, (past, past + hide), past + stop)
        for j in range(past):
            put(before, (g, j), table[g, j])
    _add(table, values, out, (past, stop, 0, width), far)


@register_jitable
def _row(r: Any, heads: Any, rooms: Any, before: Any, place: Any, rough: Any) -> None:
    """Put keys and values of row r behind the others of its own, and attend."""
    (keys, values), (filled, hidden, end, past, scale) = rooms, place
    (own, table), found = rough[:2], rough[2][r]
    kept, width = values.shape[1], values.shape[3]
    count = heads.shape[1] - 2 * kept
    group, far = count // kept, keys.strides[1]  # from head to head; values lie as far apart
    for h in range(count):
        for w in range(width):
            own[h, w] = get(heads, (r, h, w)) * scale
    for g in range(kept):
        for w in range(width):
            keys[r, g, w, filled] = heads[r, count + g, w]
            values[r, g, filled, w] = heads[r, count + kept + g, w]
        some = slice(g * group, (g + 1) * group)
        at = (hidden[r], filled + 1, end, past, scale, far)
        _attend(own[some], (keys[r, g], values[r, g]), before[r, some], at, table, found[some])


@register_jitable
def _seen(heads: Any, rooms: Any, before: Any, place: Any, rough: Any) -> None:
    """Write what each row sees of the prefix and of its own tokens."""
    (old_keys, old_values, none), (shared, seen) = before, rough[3:]
    kept = rooms[0].shape[1]
    if place[3]:
        _ahead(heads[:, : heads.shape[1] - 2 * kept], old_keys, none, shared)
    for r in range(len(heads)):
        _row(r, heads, rooms, shared, place, rough)
    if place[3]:
        _ahead(shared, old_values, none, seen)
    found = rough[2]
    for r in range(len(seen)):
        for h in range(seen.shape[1]):
            for w in range(seen.shape[2]):
                more = get(seen, (r, h, w)) if place[3] else wide(seen, 0.0)
                put(seen, (r, h, w), found[r, h, w] + more)


@register_jitable
def _layer(x: Any, weights: Any, turn: Any, held: Any, place: Any, rough: Any) -> None:
    linears, firsts, norms, eps, scale, none = weights
    (inner, factors, heads, low, both, gated), attention = rough
    (rooms, before), seen, parts = held, attention[4], (linears, firsts, none)
    rows, kept, width = len(x), rooms[0].shape[1], rooms[0].shape[2]

    # 1. Queries, keys and values, and attention.
    rms(x, norms[0], eps[0], inner, factors)
    _fan(parts, (0, 0, 3), inner, low, none, heads)
    by_head = heads.reshape(rows, heads.shape[1] // width, width)
    _positioned(by_head, (norms, eps), turn, kept, attention[0])
    _seen(by_head, rooms, (*before, none), (*place, wide(x, scale)), attention)
    _fan(parts, (1, 3, 4), seen.reshape(rows, seen.shape[1] * width), low, x, x)

    # 2. The MLP.
    rms(x, norms[1], eps[1], inner, factors)
    _fan(parts, (2, 4, 6), inner, low, none, both)
    gate(both, gated)
    _fan(parts, (3, 6, 7), gated, low, x, x)


@register_jitable
def _linear(like: Any, at: Any) -> Any:
    """Return weight [out, in], bias [1 or 0, out] and the B of a change [out, ranks or 0]."""
    bias = lying(like, at[3], (min(1, at[3]), at[1]))
    return lying(like, at[0], (at[1], at[2])), bias, lying(like, at[4], (at[1], at[5]))


@register_jitable
def _first(like: Any, at: Any, number: Any, size: Any) -> Any:
    start = 7 * _LINEAR + 2 * number
    return lying(like, at[start], (at[start + 1], size))


@register_jitable
def _norm(like: Any, at: Any, number: Any) -> Any:
    start = 7 * _LINEAR + 8 + 2 * number
    return lying(like, at[start], at[start + 1])


@register_jitable
def _weights(x: Any, at: Any, numbers: Any) -> Any:
    """Return the weights of the layer that lies at these places (`Layers`)."""
    linears = (
        _linear(x, at[:_LINEAR]), _linear(x, at[_LINEAR:]), _linear(x, at[2 * _LINEAR :]),
        _linear(x, at[3 * _LINEAR :]), _linear(x, at[4 * _LINEAR :]),
        _linear(x, at[5 * _LINEAR :]), _linear(x, at[6 * _LINEAR :]),
    )  # fmt: skip
    hidden, seen, inner = x.shape[1], linears[3][0].shape[1], linears[6][0].shape[1]
    firsts = (
        _first(x, at, 0, hidden), _first(x, at, 1, seen), _first(x, at, 2, hidden),
        _first(x, at, 3, inner),
    )  # fmt: skip
    norms = _norm(x, at, 0), _norm(x, at, 1), _norm(x, at, 2), _norm(x, at, 3)
    eps = numbers[0], numbers[1], numbers[2], numbers[3]
    return linears, firsts, norms, eps, numbers[4], lying(x, 0, (0, 0))


@compiled
def _layers(x: Any, layers: Any, turn: Any, held: Any, place: Any, rough: Any) -> None:
    (places, numbers), (rooms, (kept, width, columns, past)) = layers, held
    for n in range(len(places)):
        keys = lying(x, rooms[n, 0], (len(x), kept, width, columns))
        values = lying(x, rooms[n, 1], (len(x), kept, columns, width))
        old = lying(x, rooms[n, 2], (kept, past, width)), lying(x, rooms[n, 3], (kept, width, past))
        _layer(x, _weights(x, places[n], numbers[n]), turn, ((keys, values), old), place, rough)


@dataclass(frozen=True)
class Layers:
    """Where the weights of all layers lie, for one call that takes a token through all of them.

    `places` has a row for each layer. For each of its seven linear layers: weight, out, in, bias,
    the B of a change (0: none) and its ranks; for the four inputs: the A of all changes, its ranks;
    for the four norms: weight, size. `numbers` are eps of the norms and the scale of the scores.
    `held` keeps the memory.
    """

    places: Any
    numbers: Any
    held: list[Any]


def open_layers(layers: Sequence[Any]) -> Layers:
    """Return the layers (`_decoder.Layer`) as the loop reads them, without a copy."""
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
        for fan in (layer.into, layer.out, layer.up, layer.down):
            seconds = fan.b or [None] * len(fan.weights)
            for weight, bias, second in zip(fan.weights, fan.biases, seconds, strict=True):
                ranks = 0 if second is None else second.shape[1]
                row += [at(weight), *weight.shape, at(bias), at(second), ranks]
            firsts += [at(fan.a), 0 if fan.a is None else len(fan.a)]
        given = layer.first, layer.second, layer.q_norm, layer.k_norm
        norms = [norm or (None, 0.0) for norm in given]
        row += firsts
        for weight, _ in norms:
            row += [at(weight), 0 if weight is None else len(weight)]
        places.append(row)
        numbers.append([*(float(eps) for _, eps in norms), layer.scale])
    return Layers(np.array(places), np.array(numbers), held)


def _rough(layers: Layers, x: Any, sizes: tuple[int, int, int, int]) -> tuple[Any, ...]:
    """Return memory for what a layer writes on the way.

    `sizes`: kept heads, width of a head, tokens of the prefix as they lie, tokens of a row at most.
    """
    (kept, width, past, most), rows, at = sizes, len(x), layers.places[0]
    outs, firsts = at[1 : 7 * _LINEAR : _LINEAR], at[7 * _LINEAR + 1 : 7 * _LINEAR + 8 : 2]
    heads, count, size = int(outs[:3].sum()), int(outs[0]) // width, int(outs[4])
    wide_ = wide_of(x.dtype)

    def half(*sides: int) -> Any:
        return bits(x.new_empty(rows, *sides))

    def full(*sides: int) -> Any:
        return torch.empty(sides, dtype=wide_).numpy()

    low, own = half(int(firsts.max())), full(heads // width, width)
    given = (half(x.shape[1]), full(rows, 1), half(heads), low, half(2 * size), half(size))
    table, found = full(count // kept, past + most), full(rows, count, width)
    return given, (own, table, found, half(count, past), half(count, width))


def run(x: Any, layers: Layers, angles: tuple[Any, Any], cache: Any, place: tuple[Any, Any]) -> Any:
    """Take a token of each row, x [rows, hidden], through all layers (in place) and return it.

    `angles` are cos and sin of their positions, [rows, width / 2]; keys and values go into `cache`
    (turned rooms of `_attention`) behind what is there, of which the first columns are padding.
    `place` is the prefix of the rows (or None) and how many columns each hides, [rows].
    """
    prefix, hidden = place
    rooms = [room.append() for room in cache.layers]
    before = prefix.rows if prefix else [(x[:0], x[:0])] * len(rooms)
    filled, (_, kept, columns, width) = cache.layers[0].filled, rooms[0][1].shape
    past, length = (prefix.length, before[0][0].shape[1]) if prefix else (0, 0)
    lie = [
        [side.data_ptr() for side in (*own, *old)] for own, old in zip(rooms, before, strict=True)
    ]
    _layers(
        bits(x),
        (layers.places, layers.numbers),
        tuple(map(bits, angles)),
        (np.array(lie), (kept, width, columns, length)),
        (filled - 1, hidden, whole(filled, columns), past),
        _rough(layers, x, (kept, width, length, columns)),
    )
    return x
