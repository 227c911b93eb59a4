"""What stands between the matrix products of a layer, each in one pass over its numbers.

torch takes a norm, a rotation or a softmax in bf16 as four to eight operations that each read and
write all of it, by way of fp32 copies; on a CPU these cost as much as the products (FINDINGS).
Here each is one compiled loop: sums and exponentials are fp32 (fp64 for fp64), and the result is
rounded once. Arrays must be contiguous. A kernel runs on the calling thread and lets others run
beside it. Knows no model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from tuneworthy.models._compiled import bits, compiled, exp, get, larger, put, wide, wide_of


@compiled
def _rms(x: Any, weight: Any, eps: float, out: Any, factors: Any) -> None:
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
def _gate(both: Any, out: Any) -> None:
    size, one = out.shape[1], wide(out, 1.0)
    for n in range(len(out)):
        gate, up, done = both[n, :size], both[n, size:], out[n]
        for k in range(size):
            g = get(gate, k)
            put(done, k, g / (one + exp(-g)) * get(up, k))


@compiled
def _turn(heads: Any, cos: Any, sin: Any, out: Any) -> None:
    rows, count, length, _, half = out.shape
    for r in range(rows):
        for t in range(length):
            for h in range(count):
                for k in range(half):
                    x, y = get(heads, (r, t, h, 0, k)), get(heads, (r, t, h, 1, k))
                    c, s = get(cos, (r, t, k)), get(sin, (r, t, k))
                    put(out, (r, h, t, 0, k), x * c - y * s)
                    put(out, (r, h, t, 1, k), y * c + x * s)


@register_jitable
def _scaled(scores: Any, by: Any, out: Any, top: Any) -> Any:
    for k in range(len(scores)):
        value = get(scores, k) * by
        out[k] = value
        top = larger(value, top)
    return top


@register_jitable
def _masked(scores: Any, by: Any, mask: Any, out: Any, top: Any) -> Any:
    for k in range(len(scores)):
        value = get(scores, k) * by + get(mask, k)
        out[k] = value
        top = larger(value, top)
    return top


@register_jitable
def _written(chances: Any, by: Any, out: Any) -> None:
    for k in range(len(chances)):
        put(out, k, chances[k] * by)


@compiled
def _weigh(own: Any, shared: Any, mask: Any, place: Any, scale: float, table: Any) -> None:
    rows, kept, queries, keys = own.shape
    past, (first, block, ahead, causal) = shared.shape[3], place
    by = wide(own, scale)
    for r in range(rows):
        for h in range(kept):
            for q in range(queries):
                line = q % block
                seen = keys - (block - 1 - line) * causal
                one, two, near = own[r, h, q], shared[h, r, q], min(ahead, seen)
                hidden = mask[r, first + line, : max(seen - ahead, 0)]
                top = _scaled(two, by, table[:past], wide(own, -np.inf))
                top = _scaled(one[:near], by, table[past : past + near], top)
                top = _masked(one[near:seen], by, hidden, table[past + near :], top)
                whole, total = table[: past + seen], wide(own, 0.0)
                for k in range(past + seen):
                    whole[k] = exp(whole[k] - top)
                    total += whole[k]
                total = wide(own, 1.0) / total
                _written(table[:past], total, two)
                _written(table[past : past + seen], total, one)
                one[seen:] = 0


def rms_norm(x: Any, weight: Any, eps: float, out: Any = None) -> tuple[Any, Any]:
    """Return y = weight · factor · x for x [N, size], and the factors [N, 1], fp32 or wider.

    The factor of a row is 1 / sqrt(mean(x²) + eps). y is written into `out` where it is given.
    """
    out = torch.empty_like(x) if out is None else out
    factors = torch.empty(len(x), 1, dtype=wide_of(x.dtype))
    _rms(bits(x), bits(weight), eps, bits(out), factors.numpy())
    return out, factors


def gated(both: Any) -> Any:
    """Return silu(gate) · up, [N, size], of both [N, gate and up]."""
    out = both.new_empty(len(both), both.shape[1] // 2)
    _gate(bits(both), bits(out))
    return out


def turned(heads: Any, count: int, cos: Any, sin: Any) -> Any:
    """Return the first `count` heads of [rows, length, heads, width] rotated by position (RoPE).

    As [rows, count, length, width]; `cos` and `sin` are [rows, length, width / 2].
    """
    rows, length, _, width = heads.shape
    out, halves = heads.new_empty(rows, count, length, width), (2, width // 2)
    given = (heads.unflatten(3, halves), cos, sin, out.unflatten(3, halves))
    _turn(*map(bits, given))
    return out


def weigh(own: Any, shared: Any, mask: Any, place: tuple[int, ...], scale: float) -> None:
    """Turn scores into attention weights, where they lie: softmax(scale · scores + mask).

    `own` [rows, kept heads, queries, keys] and `shared` [kept heads, rows, queries, past] are one
    row of scores each. Of mask [rows, length, keys], query q reads line first + q modulo `block`,
    and keys from `ahead` on are masked: `place` is (first, block, ahead, causal). `causal` 1: of
    the block's queries the last sees all keys, the one before it all but the last, and so on.
    No `shared`: None; no mask: None, and `ahead` the number of keys.
    """
    rows, kept, queries, keys = own.shape
    shared = own.new_empty(kept, rows, queries, 0) if shared is None else shared
    mask = own.new_empty(rows, place[1], 0) if mask is None else mask
    table = torch.empty(shared.shape[3] + keys, dtype=wide_of(own.dtype)).numpy()
    _weigh(bits(own), bits(shared), bits(mask), place, scale, table)
