"""One token more of each row through a decoder layer, as one compiled loop on the calling thread.

A step multiplies few numbers with all weights: calls between the products, and waits for memory
that could have come before, took as long as they did (FINDINGS). Sums are fp32 (fp64 for fp64),
and numbers are rounded where a product reads them. Knows no sampling and no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from tuneworthy.models._blocks import fetch
from tuneworthy.models._compiled import bits, compiled, exp, get, larger, put, wide, wide_of
from tuneworthy.models._kernels import gate, rms, whole
from tuneworthy.models._products import address, multiply


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


@compiled
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
            row, change = (
                (flat if bias is None else bias[None]),
                (flat if second is None else second),
            )
            linears.append(tuple(map(_bits, (weight, row, change))))
        firsts.append(_bits(flat if fan.a is None else fan.a))
    parts = [norm or (none, 0.0) for norm in norms]
    eps = tuple(float(norm[1]) for norm in parts)
    held = tuple(_bits(norm[0]) for norm in parts)
    return tuple(linears), tuple(firsts), held, eps, scale, _bits(flat)


def _bits(tensor: Any) -> Any:
    return bits(tensor.detach().contiguous())


def _rough(layer: tuple[Any, ...], x: Any, sizes: tuple[int, int, int, int]) -> tuple[Any, ...]:
    """Return memory for what a layer writes on the way.

    `sizes`: kept heads, width of a head, tokens of the prefix as they lie, tokens of a row at most.
    """
    linears, firsts = layer[:2]
    (kept, width, past, most), rows = sizes, len(x)
    heads, count = sum(len(part[0]) for part in linears[:3]), len(linears[0][0]) // width
    wide_, size = wide_of(x.dtype), len(linears[4][0])

    def half(*sides: int) -> Any:
        return bits(x.new_empty(rows, *sides))

    def full(*sides: int) -> Any:
        return torch.empty(sides, dtype=wide_).numpy()

    low, own = half(max(map(len, firsts))), full(heads // width, width)
    given = (half(x.shape[1]), full(rows, 1), half(heads), low, half(2 * size), half(size))
    table, found = full(count // kept, past + most), full(rows, count, width)
    return given, (own, table, found, half(count, past), half(count, width))


def run(
    x: Any, layers: Sequence[Any], angles: tuple[Any, Any], cache: Any, place: tuple[Any, Any]
) -> Any:
    """Take a token of each row, x [rows, hidden], through all layers (in place) and return it.

    `angles` are cos and sin of their positions, [rows, width / 2]; keys and values go into `cache`
    (turned rooms of `_attention`) behind what is there, of which the first columns are padding.
    `place` is the prefix of the rows (or None) and how many columns each hides, [rows].
    """
    prefix, hidden = place
    tokens, turn = bits(x), tuple(map(bits, angles))
    rough: Any = None
    for number, (layer, room) in enumerate(zip(layers, cache.layers, strict=True)):
        keys, values = room.append()
        if rough is None:
            flat = values[0, :, :0].contiguous()
            none, past = (bits(flat), bits(flat)), prefix.length if prefix else 0
        before = prefix.rows[number] if prefix else none
        if rough is None:
            sizes = (values.shape[1], values.shape[3], before[0].shape[1], values.shape[2])
            rough = _rough(layer, x, sizes)
        filled, end = room.filled, whole(room.filled, values.shape[2])
        held = ((bits(keys), bits(values)), before)
        _layer(tokens, layer, turn, held, (filled - 1, hidden, end, past), rough)
    return x
