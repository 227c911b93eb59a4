"""One decoding step of all rows through all decoder layers, as one compiled loop on each thread.

A step multiplies few numbers with all weights: calls between the products, and waits for memory
that a prefetch avoids, took as long as the products. Sums are fp32 (fp64 for fp64), and numbers are
rounded where a product reads them. Knows no sampling and no text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from tuneworthy.models.local.cpu_engine import whole
from tuneworthy_cpu.compiled import as_array, compiled, get, put, wide, wide_of
from tuneworthy_cpu.gemm.products import array_at, multiply
from tuneworthy_cpu.gemm.thread_pool import run_on_threads, wait_at_barrier
from tuneworthy_cpu.gemm.tiles import SIDE
from tuneworthy_cpu.read.address_table import LINEAR, LayerAddresses, weights_of
from tuneworthy_cpu.read.decode_attention import attend, round_up
from tuneworthy_cpu.read.layer_kernels import gate, rms


@register_jitable
def _apply_norm(x: Any, weight: Any, eps: Any) -> None:
    """Apply RMSNorm to one head in place."""
    total = wide(weight, 0.0)
    for k in range(len(x)):
        total += x[k] * x[k]
    factor = wide(weight, 1.0) / np.sqrt(total / wide(weight, len(x)) + wide(weight, eps))
    for k in range(len(x)):
        x[k] *= factor * get(weight, k)


@register_jitable
def _rotate(x: Any, cos: Any, sin: Any) -> None:
    """Rotate one head by its position (RoPE) in place."""
    half = len(cos)
    for k in range(half):
        a, b, c, s = x[k], x[half + k], get(cos, k), get(sin, k)
        x[k], x[half + k] = a * c - b * s, b * c + a * s


@register_jitable
def _thread_rows(rows: Any, side: Any) -> Any:
    """Return this thread's slice of rows, at least two: one row is summed in another order."""
    _, me, all_ = side
    if rows < 2 * all_:
        return slice(0, rows if me == 0 else 0)
    return slice(rows * me // all_, rows * (me + 1) // all_)


@register_jitable
def _thread_columns(count: Any, side: Any) -> Any:
    """Return this thread's first column and the one after its last: whole blocks, the rest last."""
    _, me, all_ = side
    start, stop = count // SIDE * me // all_ * SIDE, count // SIDE * (me + 1) // all_ * SIDE
    return start, count if me + 1 == all_ else stop


@register_jitable
def _multiply_group(linears: Any, which: Any, given: Any, add: Any, out: Any, side: Any) -> None:
    """Write the concatenated outputs of linear layers that read the same input, plus `add`.

    `which` is the index range of these layers. `given`: x, and x times the A of their changes. This
    thread writes its columns of each layer.
    """
    (begin, end), (x, low) = which, given
    at = done = 0
    for k in range(begin, end):
        weight, bias, second = linears[k]
        start, stop = _thread_columns(len(weight), side)
        part, change = out[:, done + start : done + stop], low[:, at : at + second.shape[1]]
        more = (add if len(add) else bias)[:, start:stop]
        multiply(x, weight[start:stop], change, second[start:stop], more, part)
        if len(add) and len(bias):
            for r in range(len(part)):
                for n in range(part.shape[1]):
                    put(part, (r, n), get(part, (r, n)) + get(bias, (0, start + n)))
        at, done = at + second.shape[1], done + len(weight)


@register_jitable
def _norm_and_rotate(heads: Any, layer: Any, turn: Any, kept: Any, own: Any) -> None:
    """Apply the norms and RoPE to queries and keys of `heads` [rows, heads, width] in place."""
    (norms, eps), count = layer, heads.shape[1] - 2 * kept
    for r in range(len(heads)):
        for h in range(count + kept):
            head, which = own[h], 2 + (h >= count)
            for w in range(len(head)):
                head[w] = get(heads, (r, h, w))
            if len(norms[which]):
                _apply_norm(head, norms[which], eps[which])
            _rotate(head, turn[0][r], turn[1][r])
            for w in range(len(head)):
                put(heads, (r, h, w), head[w])


@register_jitable
def _run_layer(x: Any, weights: Any, held: Any, at: Any, rough: Any, side: Any) -> None:
    linears, firsts, norms, eps, scale, none = weights
    (inner, factors, heads, low, both, gated, seen), (scratch, buffers) = rough
    (rooms, before), (turn, place, number) = held, at
    rows, kept, width = len(x), rooms[0].shape[1], rooms[0].shape[2]
    own, by_head = _thread_rows(rows, side), heads.reshape(rows, heads.shape[1] // width, width)
    attended = seen.reshape(rows, seen.shape[1] * width)

    # 1. Queries, keys and values, and attention.
    rms(x[own], norms[0], eps[0], inner[own], factors[own])
    multiply(inner[own], firsts[0], none, none, none, low[own])
    wait_at_barrier(side, number)
    _multiply_group(linears, (0, 3), (inner, low), none, heads, side)
    wait_at_barrier(side, number + 1)
    _norm_and_rotate(by_head[own], (norms, eps), turn, kept, scratch)
    attend(by_head[own], rooms, before, (*place, wide(x, scale)), buffers, seen[own])
    multiply(attended[own], firsts[1], none, none, none, low[own])
    wait_at_barrier(side, number + 2)
    _multiply_group(linears, (3, 4), (attended, low), x, x, side)
    wait_at_barrier(side, number + 3)

    # 2. The MLP.
    rms(x[own], norms[1], eps[1], inner[own], factors[own])
    multiply(inner[own], firsts[2], none, none, none, low[own])
    wait_at_barrier(side, number + 4)
    _multiply_group(linears, (4, 6), (inner, low), none, both, side)
    gate(both, gated, _thread_columns(gated.shape[1], side))
    wait_at_barrier(side, number + 5)
    multiply(gated[own], firsts[3], none, none, none, low[own])
    wait_at_barrier(side, number + 6)
    _multiply_group(linears, (6, 7), (gated, low), x, x, side)
    wait_at_barrier(side, number + 7)


@compiled
def _run_layers(x: Any, layers: Any, held: Any, place: Any, rough: Any, side: Any) -> None:
    (places, numbers, last), (rooms, sizes), own = layers, held, _thread_rows(len(x), side)
    (given, (scratch, tables, shares, sums), logits), me = rough, side[1]
    (kept, width, columns), (turn, filled, hidden, end, past) = sizes, place
    mine = scratch[me], (tables[me], shares[me], sums[me])
    at, angles = (filled, hidden[own], end, past), (turn[0][own], turn[1][own])
    for n in range(len(places)):
        keys = array_at(x, rooms[n, 0], (len(x), kept, width, columns))[own]
        values = array_at(x, rooms[n, 1], (len(x), kept, columns, width))[own]
        old = (
            array_at(x, rooms[n, 2], (kept, width, round_up(past))),
            array_at(x, rooms[n, 3], (kept, past, width)),
        )
        weights, context = weights_of(x, places[n], numbers[n]), ((keys, values), old)
        _run_layer(x, weights, context, (angles, at, 8 * n), (given, mine), side)
    if logits.shape[1]:
        norm, eps, head = last
        (inner, factors), none = given[:2], head[:0]
        rms(x[own], norm, eps, inner[own], factors[own])
        wait_at_barrier(side, 8 * len(places))
        start, stop = _thread_columns(len(head), side)
        multiply(inner, head[start:stop], none[:, :0], none[:, :0], none, logits[:, start:stop])


def _scratch_arrays(
    layers: LayerAddresses, x: Any, sizes: tuple[int, ...], threads: int
) -> tuple[Any, ...]:
    """Return scratch arrays for a layer's intermediate results: shared, and by thread.

    `sizes`: kept heads, width of a head, columns of the prefix and of a row.
    """
    (kept, width, past, most), rows, at = sizes, len(x), layers.places[0]
    outs = at[1 : 7 * LINEAR : LINEAR]
    ranks = layers.places[:, 7 * LINEAR + 1 : 7 * LINEAR + 8 : 2]  # an adapter may skip layers
    heads, count, size = int(outs[:3].sum()), int(outs[0]) // width, int(outs[4])
    group, wide_ = count // kept, wide_of(x.dtype)

    def half(*sides: int) -> Any:
        return as_array(x.new_empty(*sides))

    def full(*sides: int) -> Any:
        return torch.empty(sides, dtype=wide_).numpy()

    return (
        half(rows, x.shape[1]), full(rows, 1), half(rows, heads), half(rows, int(ranks.max())),
        half(rows, 2 * size), half(rows, size), half(rows, count, width),
    ), (
        full(threads, heads // width, width), full(threads, group, past + most),
        half(threads, group, past + most), full(threads, group, width),
    )  # fmt: skip


def decode_step(
    x: Any, layers: LayerAddresses, angles: tuple[Any, Any], cache: Any, place: tuple[Any, Any]
) -> Any:
    """Run one token of each row, x [rows, hidden], through all layers, in place.

    Return the logits [rows, vocabulary], or None if the output layer is computed elsewhere.
    `angles` are cos and sin of the tokens' positions, [rows, width / 2]. Keys and values are
    appended to `cache` (transposed `LayerCache` layers), whose first columns are padding. `place`
    is the prefix of the rows (or None) and the number of padding columns of each row, [rows].
    """
    prefix, hidden = place
    rooms = [room.append() for room in cache.layers]
    before = prefix.columns if prefix else [(x[:0], x[:0])] * len(rooms)
    filled, (_, kept, columns, width) = cache.layers[0].filled, rooms[0][1].shape
    past = prefix.length if prefix else 0
    pairs = zip(rooms, before, strict=True)
    addresses = np.array([[side.data_ptr() for side in (*own, *old)] for own, old in pairs])
    logits = x.new_empty(len(x), len(layers.last[2]))
    threads = torch.get_num_threads() if layers.shared else 1
    given = (
        as_array(x),
        (layers.places, layers.numbers, layers.last),
        (addresses, (kept, width, columns)),
        (tuple(map(as_array, angles)), filled - 1, hidden, whole(filled), past),
        (
            *_scratch_arrays(layers, x, (kept, width, whole(past), columns), threads),
            as_array(logits),
        ),
    )
    run_on_threads(threads, lambda board, me, all_: _run_layers(*given, (board, me, all_)))
    return logits if logits.shape[1] else None
