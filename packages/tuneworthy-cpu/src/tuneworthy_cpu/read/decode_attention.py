"""Attention of a decoding step: one new token of each row attends to the prefix and its own row.

bf16 products are computed a few queries at a time, on keys and values in place; sums and the
softmax are fp32 (fp64 for fp64). Data of the next head is prefetched. Knows no layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from tuneworthy_cpu.compiled import exp, get, larger, put, wide
from tuneworthy_cpu.gemm.products import address, own_gemm_available
from tuneworthy_cpu.gemm.tiles import FEW, WIDE, add_few_rows, prefetch_line


@register_jitable
def round_up(count: Any) -> Any:
    """In compiled code: return `count` rounded up to a multiple of WIDE."""
    return (count + WIDE - 1) // WIDE * WIDE


@register_jitable
def softmax_in_place(scores: Any, like: Any, none: Any, stop: Any) -> None:
    """Overwrite scores with their softmax.

    Entries none[0] to none[1] and from `stop` on are masked; their contents are ignored.
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
def _add_product_loop(x: Any, w: Any, place: Any, out: Any) -> None:
    begin, start, size, far = place
    lines = (size * w.itemsize + 63) // 64 * (far > 0)
    for n in range(0, len(w) - 3, 4):
        a, b, c, d = w[n], w[n + 1], w[n + 2], w[n + 3]
        for line in range(lines):
            for row in (a, b, c, d):
                prefetch_line(address(row) + far + line * 64)
        for g in range(len(x)):
            near, at = out[g, start : start + size], begin + n
            s, t, u, v = (
                get(x, (g, at)),
                get(x, (g, at + 1)),
                get(x, (g, at + 2)),
                get(x, (g, at + 3)),
            )
            for k in range(len(near)):
                near[k] += s * get(a, k) + t * get(b, k) + (u * get(c, k) + v * get(d, k))
    for n in range(len(w) // 4 * 4, len(w)):
        for g in range(len(x)):
            near, v = out[g, start : start + size], get(x, (g, begin + n))
            for k in range(len(near)):
                near[k] += v * get(w[n], k)


def _add_product(x: Any, w: Any, place: Any, out: Any) -> None:
    """In compiled code: add x w to `out`.

    `place`: the index in a row of x that w's first row multiplies, the first column of `out`, the
    number of columns (slow unless a multiple of WIDE), and the prefetch distance in bytes from each
    row of w to the next head's (0: none).
    """


@overload(_add_product, strict=False)
def _add_product_of(x: Any, w: Any, place: Any, out: Any) -> Any:  # noqa: ARG001
    def half(x: Any, w: Any, place: Any, out: Any) -> None:
        begin, start, size, far = place
        if size % WIDE:
            _add_product_loop(x, w, place, out)
            return
        for m in range(0, len(x), FEW):
            for n in range(0, size, WIDE):
                add_few_rows(
                    (
                        address(x) + m * x.strides[0] + 2 * begin, x.strides[0],
                        address(w) + 2 * n, w.strides[0], len(w),
                        address(out) + m * out.strides[0] + 4 * (start + n), out.strides[0],
                        len(x) - m - 1, far,
                    )
                )  # fmt: skip

    def other(x: Any, w: Any, place: Any, out: Any) -> None:
        _add_product_loop(x, w, place, out)

    return half if x.dtype == types.uint16 and own_gemm_available() else other


@register_jitable
def _attention_weights(q: Any, sides: Any, place: Any, table: Any, weights: Any) -> None:
    """Write the attention weights of one head's queries [group, width] over prefix and row.

    `sides`: keys of the row [width, columns] and of the prefix [width, columns]. `place`: how many
    first columns of the row are hidden, how many are filled, that number rounded up to whole WIDEs;
    the length of the prefix, the scale, and the byte offset of the next head.
    """
    (keys, old_keys), (hide, stop, end, past, scale, far) = sides, place
    base = round_up(past)
    table[:, : base + end] = 0
    _add_product(q, old_keys, (0, 0, base, 0), table)
    _add_product(q, keys, (0, base, end, far), table)
    for g in range(len(q)):
        line, to = table[g, : base + end], weights[g]
        for j in range(len(line)):
            line[j] *= scale
        softmax_in_place(line, keys, (past, base + hide), base + stop)
        for j in range(len(line)):
            put(to, j, line[j])


@register_jitable
def _weighted_values(weights: Any, sides: Any, place: Any, sums: Any, out: Any) -> None:
    """Write the sum, by weights, of the values of prefix [past, width] and row [columns, width]."""
    (values, old_values), (_, stop, _, past, _, far), width = sides, place, sums.shape[1]
    sums[:] = 0
    _add_product(weights, old_values, (0, 0, width, 0), sums)
    _add_product(weights, values[:stop], (round_up(past), 0, width, far), sums)
    for g in range(len(sums)):
        near, to = sums[g], out[g]
        for w in range(width):
            put(to, w, near[w])


@register_jitable
def _store_key_value(heads: Any, rooms: Any, n: Any, filled: Any) -> None:
    """Store key and value of the n-th head of all rows in column `filled` of its cache."""
    (keys, values), kept, width = rooms, rooms[1].shape[1], rooms[1].shape[3]
    (r, g), count = divmod(n, kept), heads.shape[1] - 2 * kept
    for w in range(width):
        keys[r, g, w, filled] = heads[r, count + g, w]
        values[r, g, filled, w] = heads[r, count + kept + g, w]


@register_jitable
def attend(heads: Any, rooms: Any, before: Any, place: Any, rough: Any, out: Any) -> None:
    """Store the new keys and values in the cache; write the attention output to `out` (compiled).

    The output is [rows, heads, width]. `heads` [rows, heads, width] holds queries, keys and values;
    `rooms` are keys [rows, kept heads, width, columns] and values [rows, kept heads, columns,
    width], of whole WIDEs of columns; `before` those of the prefix in the same form, without the
    first axis. `place`: the number of filled columns, how many first ones each row hides, the
    filled ones rounded up to whole WIDEs; the length of the prefix, and the scale. `rough` is
    scratch memory for one head: scores, weights and sums.
    """
    (keys, values), (filled, hidden, end, past, scale) = rooms, place
    (old_keys, old_values), (table, weights, sums) = before, rough
    kept = keys.shape[1]
    group, all_ = heads.shape[1] // kept - 2, len(heads) * kept
    if all_:
        _store_key_value(heads, rooms, 0, filled)
    for n in range(all_):
        r, g = divmod(n, kept)
        queries = slice(g * group, (g + 1) * group)
        at = (hidden[r], filled + 1, end, past, scale, keys.strides[1])
        _attention_weights(heads[r, queries], (keys[r, g], old_keys[g]), at, table, weights)
        if n + 1 < all_:  # stored well before it is read: an immediate read would stall
            _store_key_value(heads, rooms, n + 1, filled)
        _weighted_values(weights, (values[r, g], old_values[g]), at, sums, out[r, queries])
