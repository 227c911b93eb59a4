"""Element-wise and reduction kernels of a layer (norm, RoPE, softmax, gate), each in one pass.

torch computes a norm, a rotation or a softmax in bf16 as four to eight operations that each read
and write the whole array, through fp32 copies; on a CPU these cost as much as the products. Here
each is one compiled loop: sums and exponentials are fp32 (fp64 for fp64), and the result is rounded
once. Arrays must be contiguous. A kernel runs on the calling thread and releases the GIL. Knows no
model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from tuneworthy.models.local.cpu_engine import RUN
from tuneworthy_cpu.compiled import (
    as_array,
    call_now,
    compiled,
    exp,
    get,
    larger,
    put,
    wide,
    wide_of,
)

_N = np.uint64  # for a signed index numba adds a wrap-around test, and LLVM does not vectorise


@compiled
def rms(x: Any, weight: Any, eps: float, out: Any, factors: Any) -> None:
    """In compiled code: write RMSNorm of x to `out`, and each row's factor to `factors`."""
    size = x.shape[1]
    for n in range(len(x)):
        row, done, total = x[n], out[n], wide(x, 0.0)
        for k in range(size):
            total += get(row, k) * get(row, k)
        factor = wide(x, 1.0) / np.sqrt(total / wide(x, size) + wide(x, eps))
        factors[n, 0] = factor
        for k in range(size):
            put(done, k, get(row, k) * factor * get(weight, k))


@compiled
def gate(both: Any, out: Any, columns: Any) -> None:
    """In compiled code: write silu(gate) · up to `out`, for the half-open range `columns`."""
    (start, stop), size, one = columns, out.shape[1], wide(out, 1.0)
    for n in range(len(out)):
        first, up, done = (
            both[n, start:stop],
            both[n, size + start : size + stop],
            out[n, start:stop],
        )
        for k in range(len(done)):
            g = get(first, k)
            put(done, k, g / (one + exp(out, -g)) * get(up, k))


@compiled
def _rotate_heads(heads: Any, cos: Any, sin: Any, queries: Any, keys: Any) -> None:
    rows, kept, length, group, _, half = queries.shape
    for r in range(rows):
        for t in range(length):
            for h in range(kept):
                for g in range(group):
                    for k in range(half):
                        at = h * group + g
                        x, y = get(heads, (r, t, at, 0, k)), get(heads, (r, t, at, 1, k))
                        c, s = get(cos, (r, t, k)), get(sin, (r, t, k))
                        put(queries, (r, h, t, g, 0, k), x * c - y * s)
                        put(queries, (r, h, t, g, 1, k), y * c + x * s)
                for k in range(half):
                    at = kept * group + h
                    x, y = get(heads, (r, t, at, 0, k)), get(heads, (r, t, at, 1, k))
                    c, s = get(cos, (r, t, k)), get(sin, (r, t, k))
                    put(keys, (r, h, t, 0, k), x * c - y * s)
                    put(keys, (r, h, t, 1, k), y * c + x * s)


@register_jitable
def _scale_scores(scores: Any, at: Any, seen: Any, by: Any, out: Any, top: Any) -> Any:
    end, count, first, last = seen
    least = wide(scores, -np.inf)
    for k in range(end):
        value = get(scores, at + k) * by
        value = value if k < count and (k < first or k >= last) else least
        out[k] = value
        top = larger(value, top)
    return top


@register_jitable
def _mask_scores(scores: Any, at: Any, mask: Any, by: Any, out: Any, top: Any) -> Any:
    for k in range(_N(len(mask))):
        value = get(scores, at + k) * by + get(mask, k)
        out[k] = value
        top = larger(value, top)
    return top


@register_jitable
def _exponentiate(kind: Any, table: Any, end: Any, top: Any) -> Any:
    total = top - top
    for k in range(end):
        table[k] = exp(kind, table[k] - top)
        total += table[k]
    return total


@register_jitable
def _write_weights(chances: Any, end: Any, by: Any, out: Any, at: Any) -> None:
    for k in range(end):
        put(out, at + k, chances[k] * by)


@register_jitable
def _fill(out: Any, start: Any, stop: Any, value: Any) -> None:
    for k in range(start, stop):
        out[k] = value


@register_jitable
def _round_up(count: int) -> int:
    return (count + RUN - 1) // RUN * RUN


@compiled
def _softmax(own: Any, shared: Any, sizes: Any, hide: Any, place: Any, table: Any) -> None:
    rows, kept, queries, width, past, scale = sizes
    (group, block, seen, ahead, causal), (pads, mask) = place, hide
    by, least, behind = wide(own, scale), wide(own, -np.inf), _round_up(past)
    near, at, none = table[behind:], _N(0), _N(0)
    for r in range(rows):
        for h in range(kept):
            back = _N((h * rows + r) * queries * past)
            for q in range(queries):
                line = q // group % block
                count = seen - (block - 1 - line) * causal
                end = min(_round_up(count), width)
                top = least
                if past:
                    top = _scale_scores(
                        shared, back, (_N(past), _N(past), none, none), by, table, top
                    )
                    _fill(table, _N(past), _N(behind), least)
                if mask.shape[2]:
                    top = _scale_scores(own, at, (_N(ahead), _N(ahead), none, none), by, near, top)
                    hidden = mask[r, line, : count - ahead]
                    top = _mask_scores(own, at + _N(ahead), hidden, by, near[ahead:], top)
                    _fill(near, _N(count), _N(_round_up(count)), least)
                else:
                    last = min(ahead + pads[r], count - 1)  # padding attends to itself: no sum is 0
                    sees = (_N(end), _N(count), _N(ahead), _N(last))
                    top = _scale_scores(own, at, sees, by, near, top)
                    if end < _round_up(count):
                        _fill(near, _N(end), _N(_round_up(count)), least)
                total = wide(own, 1.0) / _exponentiate(
                    own, table, _N(behind + _round_up(count)), top
                )
                if past:
                    _write_weights(table, _N(past), total, shared, back)
                _write_weights(near, _N(end), total, own, at)
                if end < width:
                    _fill(own, at + _N(end), at + _N(width), 0)
                at += _N(width)
                back += _N(past)


def rms_norm(
    x: Any, norm: tuple[Any, float], out: Any = None, do: Any = call_now
) -> tuple[Any, Any]:
    """Return RMSNorm y = weight · factor · x of x [N, size], and the factors [N, 1].

    `norm` is (weight, eps); the factor of a row is 1 / sqrt(mean(x²) + eps), fp32 or wider. y is
    written into `out` if given. `do` makes the call at once or records it.
    """
    out = torch.empty_like(x) if out is None else out
    factors = torch.empty(len(x), 1, dtype=wide_of(x.dtype))
    weight, eps = norm
    do(rms, as_array(x), as_array(weight), eps, as_array(out), factors.numpy())
    return out, factors


def gated(both: Any) -> Any:
    """Return silu(gate) · up, [N, size], of `both` [N, 2 · size], gate and up side by side."""
    out = both.new_empty(len(both), both.shape[1] // 2)
    gate(as_array(both), as_array(out), (0, out.shape[1]))
    return out


def rotate_heads(heads: Any, count: int, kept: int, angles: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return the queries and keys of heads [rows, length, heads, width], rotated by RoPE.

    The first `count` heads are queries, the next `kept` are keys; `angles` are cos and sin, [rows,
    length, width / 2]. Queries are returned as [rows, kept, length, group, width], keys as [rows,
    kept, length, width].
    """
    rows, length, _, width = heads.shape
    queries = heads.new_empty(rows, kept, length, count // kept, width)
    keys, halves = heads.new_empty(rows, kept, length, width), (2, width // 2)
    parts = (heads.unflatten(3, halves), *angles, queries.unflatten(4, halves))
    _rotate_heads(*map(as_array, (*parts, keys.unflatten(3, halves))))
    return queries, keys


def softmax_scores(
    own: Any, shared: Any, hide: Any, place: tuple[int, ...], scale: float, do: Any = call_now
) -> None:
    """Overwrite scores with attention weights, softmax(scale · scores).

    `own` [rows, kept heads, queries, keys] and `shared` [kept heads, rows, queries, past] (or None)
    together form one row of scores per query. `place` is (group, block, seen, ahead, causal): query
    q belongs to token q / group modulo `block`, and it attends to the first `seen` of the own keys
    (later entries are no scores). `causal` 1: only the block's last token attends to them all, the
    one before it to all but the last, and so on. `hide` is None or, for the keys from `ahead` on,
    either how many first ones each row hides, [rows], or an additive mask [rows, block, seen -
    ahead]. `do` as in `rms_norm`.
    """
    rows, kept, queries, keys = own.shape
    shared = own.new_empty(kept, rows, queries, 0) if shared is None else shared
    past = shared.shape[3]
    table = torch.empty(past + keys + 2 * RUN, dtype=wide_of(own.dtype)).numpy()
    pads = np.zeros(rows, np.int64) if hide is None or hide.ndim > 1 else hide.numpy()
    mask = hide if hide is not None and hide.ndim > 1 else own.new_empty(rows, 0, 0)
    sizes, flat = (rows, kept, queries, keys, past, scale), (own.view(-1), shared.view(-1))
    do(_softmax, *map(as_array, flat), sizes, (pads, as_array(mask)), place, table)
