"""One token more of each row through all decoder layers, as one compiled loop on each thread.

A step multiplies few numbers with all weights: calls between the products, and waits for memory
that could have come before, took as long as they did (FINDINGS). Sums are fp32 (fp64 for fp64),
and numbers are rounded where a product reads them. Knows no sampling and no text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from tuneworthy.models._blocks import SIDE, fetch
from tuneworthy.models._compiled import bits, compiled, exp, get, larger, put, wide, wide_of
from tuneworthy.models._kernels import gate, rms, whole
from tuneworthy.models._places import LINEAR, Layers, weights_of
from tuneworthy.models._products import address, lying, multiply
from tuneworthy.models._team import meet, together


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
def _own(rows: Any, side: Any) -> Any:
    """Return the rows of this thread: two at least, for a single one is added up otherwise."""
    _, me, all_ = side
    if rows < 2 * all_:
        return slice(0, rows if me == 0 else 0)
    return slice(rows * me // all_, rows * (me + 1) // all_)


@register_jitable
def _share(count: Any, side: Any) -> Any:
    """Return where the columns of this thread begin and end: whole blocks, and the rest."""
    _, me, all_ = side
    start, stop = count // SIDE * me // all_ * SIDE, count // SIDE * (me + 1) // all_ * SIDE
    return start, count if me + 1 == all_ else stop


@register_jitable
def _fan(linears: Any, which: Any, given: Any, add: Any, out: Any, side: Any) -> None:
    """Write the outputs of linear layers that read the same input side by side, plus `add`.

    `which`: the number of the first of them, and of the one after the last. `given`: x, and x by
    the A of their changes. Of each layer this thread writes its share.
    """
    (begin, end), (x, low) = which, given
    at = done = 0
    for k in range(begin, end):
        weight, bias, second = linears[k]
        start, stop = _share(len(weight), side)
        part, change = out[:, done + start : done + stop], low[:, at : at + second.shape[1]]
        more = (add if len(add) else bias)[:, start:stop]
        multiply(x, weight[start:stop], change, second[start:stop], more, part)
        if len(add) and len(bias):
            for r in range(len(part)):
                for n in range(part.shape[1]):
                    put(part, (r, n), get(part, (r, n)) + get(bias, (0, start + n)))
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
    if len(x) != 1:
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
def _layer(x: Any, weights: Any, held: Any, at: Any, rough: Any, side: Any) -> None:
    linears, firsts, norms, eps, scale, none = weights
    (inner, factors, heads, low, both, gated, seen), attention = rough
    (rooms, before), (turn, place, number) = held, at
    rows, kept, width = len(x), rooms[0].shape[1], rooms[0].shape[2]
    own, by_head = _own(rows, side), heads.reshape(rows, heads.shape[1] // width, width)
    found = seen.reshape(rows, seen.shape[1] * width)

    # 1. Queries, keys and values, and attention.
    rms(x[own], norms[0], eps[0], inner[own], factors[own])
    multiply(inner[own], firsts[0], none, none, none, low[own])
    meet(side, number)
    _fan(linears, (0, 3), (inner, low), none, heads, side)
    meet(side, number + 1)
    _positioned(by_head[own], (norms, eps), turn, kept, attention[0])
    _seen(by_head[own], rooms, (*before, none), (*place, wide(x, scale)), attention)
    multiply(found[own], firsts[1], none, none, none, low[own])
    meet(side, number + 2)
    _fan(linears, (3, 4), (found, low), x, x, side)
    meet(side, number + 3)

    # 2. The MLP.
    rms(x[own], norms[1], eps[1], inner[own], factors[own])
    multiply(inner[own], firsts[2], none, none, none, low[own])
    meet(side, number + 4)
    _fan(linears, (4, 6), (inner, low), none, both, side)
    gate(both, gated, _share(gated.shape[1], side))
    meet(side, number + 5)
    multiply(gated[own], firsts[3], none, none, none, low[own])
    meet(side, number + 6)
    _fan(linears, (6, 7), (gated, low), x, x, side)
    meet(side, number + 7)


@compiled
def _layers(x: Any, layers: Any, held: Any, place: Any, rough: Any, side: Any) -> None:
    (places, numbers, last), (rooms, sizes), own = layers, held, _own(len(x), side)
    (given, (scratch, tables, found, shared, seen), logits), me = rough, side[1]
    (kept, width, columns, past), (turn, filled, hidden, end, length) = sizes, place
    mine = scratch[me], tables[me], found[own], shared[own], seen[own]
    at, angles = (filled, hidden[own], end, length), (turn[0][own], turn[1][own])
    for n in range(len(places)):
        keys = lying(x, rooms[n, 0], (len(x), kept, width, columns))[own]
        values = lying(x, rooms[n, 1], (len(x), kept, columns, width))[own]
        old = lying(x, rooms[n, 2], (kept, past, width)), lying(x, rooms[n, 3], (kept, width, past))
        weights, some = weights_of(x, places[n], numbers[n]), ((keys, values), old)
        _layer(x, weights, some, (angles, at, 8 * n), ((*given, seen), mine), side)
    if logits.shape[1]:
        norm, eps, head = last
        (inner, factors), none = given[:2], head[:0]
        rms(x[own], norm, eps, inner[own], factors[own])
        meet(side, 8 * len(places))
        start, stop = _share(len(head), side)
        multiply(inner, head[start:stop], none[:, :0], none[:, :0], none, logits[:, start:stop])


def _rough(layers: Layers, x: Any, sizes: tuple[int, ...], threads: int) -> tuple[Any, ...]:
    """Return memory for what a layer writes on the way.

    `sizes`: kept heads, width of a head, tokens of the prefix as they lie, tokens of a row at most.
    """
    (kept, width, past, most), rows, at = sizes, len(x), layers.places[0]
    outs, firsts = at[1 : 7 * LINEAR : LINEAR], at[7 * LINEAR + 1 : 7 * LINEAR + 8 : 2]
    heads, count, size = int(outs[:3].sum()), int(outs[0]) // width, int(outs[4])
    wide_ = wide_of(x.dtype)

    def half(*sides: int) -> Any:
        return bits(x.new_empty(rows, *sides))

    def full(*sides: int) -> Any:
        return torch.empty(sides, dtype=wide_).numpy()

    low, own = half(int(firsts.max())), full(threads, heads // width, width)
    given = (half(x.shape[1]), full(rows, 1), half(heads), low, half(2 * size), half(size))
    table, found = full(threads, count // kept, past + most), full(rows, count, width)
    return given, (own, table, found, half(count, past), half(count, width))


def run(x: Any, layers: Layers, angles: tuple[Any, Any], cache: Any, place: tuple[Any, Any]) -> Any:
    """Take a token of each row, x [rows, hidden], through all layers, in place.

    Return the logits [rows, vocabulary], or None where the output layer is not taken here.
    `angles` are cos and sin of their positions, [rows, width / 2]; keys and values go into `cache`
    (turned rooms of `_attention`) behind what is there, of which the first columns are padding.
    `place` is the prefix of the rows (or None) and how many columns each hides, [rows].
    """
    prefix, hidden = place
    rooms = [room.append() for room in cache.layers]
    before = prefix.rows if prefix else [(x[:0], x[:0])] * len(rooms)
    filled, (_, kept, columns, width) = cache.layers[0].filled, rooms[0][1].shape
    past, length = (prefix.length, before[0][0].shape[1]) if prefix else (0, 0)
    pairs = zip(rooms, before, strict=True)
    lie = np.array([[side.data_ptr() for side in (*own, *old)] for own, old in pairs])
    logits = x.new_empty(len(x), len(layers.last[2]))
    threads = torch.get_num_threads() if layers.shared else 1
    given = (
        bits(x),
        (layers.places, layers.numbers, layers.last),
        (lie, (kept, width, columns, length)),
        (tuple(map(bits, angles)), filled - 1, hidden, whole(filled, columns), past),
        (*_rough(layers, x, (kept, width, length, columns), threads), bits(logits)),
    )
    together(threads, lambda board, me, all_: _layers(*given, (board, me, all_)))
    return logits if logits.shape[1] else None
