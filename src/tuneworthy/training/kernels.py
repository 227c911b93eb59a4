"""What stands between the matrix products of a gradient, each as one compiled loop.

As `models._kernels`: bf16 is widened as it is read, sums are fp32 (fp64 for fp64), the result is
rounded once, and arrays must be contiguous. `do` makes a kernel's call: at once, or written down to
be made again and again. Knows no layer, no optimizer and no task.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tuneworthy.models._compiled import bits, compiled, exp, get, larger, now, put, wide, wide_of


@compiled
def _gate(gate: Any, up: Any, out: Any) -> None:
    one = wide(out, 1.0)
    for k in range(len(out)):
        g = get(gate, k)
        put(out, k, g / (one + exp(out, -g)) * get(up, k))


@compiled
def _gate_back(gate: Any, up: Any, slope: Any, out: Any) -> None:
    one = wide(out, 1.0)
    for k in range(len(out)):
        g, d = get(gate, k), get(slope, k)
        s = one / (one + exp(out, -g))
        put(out, k, d * get(up, k) * s * (one + g * (one - s)))
        put(slope, k, d * g * s)


@compiled
def _turn_over(x: Any, out: Any) -> None:
    for k in range(x.shape[1]):
        for n in range(len(x)):
            out[k, n] = x[n, k]


@compiled
def _rms_back(slope: Any, x: Any, weight: Any, factor: Any, add: Any, out: Any) -> None:
    size = x.shape[1]
    for n in range(len(x)):
        row, dy, done, along = x[n], slope[n], out[n], wide(x, 0.0)
        for k in range(size):
            along += get(dy, k) * get(weight, k) * get(row, k)
        f = factor[n, 0]
        along *= f * f * f / wide(x, size)
        if len(add):
            more = add[n]
            for k in range(size):
                put(done, k, get(dy, k) * get(weight, k) * f - get(row, k) * along + get(more, k))
        else:
            for k in range(size):
                put(done, k, get(dy, k) * get(weight, k) * f - get(row, k) * along)


@compiled
def _turn(flat: Any, cos: Any, sin: Any, skip: int, out: Any) -> None:
    rows, length, _, _, half = flat.shape
    kept, group = out.shape[1], out.shape[2]
    for r in range(rows):
        for h in range(kept):
            for g in range(group):
                for t in range(length):
                    for k in range(half):
                        x = get(flat, (r, t, h * group + g, 0, k))
                        y = get(flat, (r, t, h * group + g, 1, k))
                        c, s = get(cos, (t, k)), get(sin, (t, k))
                        put(out, (r, h, g, skip + t, 0, k), x * c - y * s)
                        put(out, (r, h, g, skip + t, 1, k), y * c + x * s)


@compiled
def _turn_back(slope: Any, cos: Any, sin: Any, skip: int, flat: Any) -> None:
    rows, length, _, _, half = flat.shape
    kept, group = slope.shape[1], slope.shape[2]
    for r in range(rows):
        for h in range(kept):
            for g in range(group):
                for t in range(length):
                    for k in range(half):
                        x = get(slope, (r, h, g, skip + t, 0, k))
                        y = get(slope, (r, h, g, skip + t, 1, k))
                        c, s = get(cos, (t, k)), get(sin, (t, k))
                        put(flat, (r, t, h * group + g, 0, k), x * c + y * s)
                        put(flat, (r, t, h * group + g, 1, k), y * c - x * s)


@compiled
def _padded(flat: Any, starts: Any, out: Any) -> None:
    length = len(out) // (len(starts) - 1)
    for r in range(len(starts) - 1):
        start, count = starts[r], starts[r + 1] - starts[r]
        for t in range(length):
            done = out[r * length + t]
            if t < count:
                row = flat[start + t]
                for k in range(len(row)):
                    done[k] = row[k]
            else:
                for k in range(len(done)):
                    done[k] = 0


@compiled
def _packed(wide: Any, starts: Any, out: Any) -> None:
    length = len(wide) // (len(starts) - 1)
    for r in range(len(starts) - 1):
        start = starts[r]
        for t in range(starts[r + 1] - start):
            done, row = out[start + t], wide[r * length + t]
            for k in range(len(row)):
                done[k] = row[k]


@compiled
def _score_slopes(weights: Any, slopes: Any, scale: float) -> None:
    by = wide(slopes, scale)
    for n in range(len(slopes)):
        p, d, along = weights[n], slopes[n], wide(slopes, 0.0)
        for k in range(len(p)):
            along += get(p, k) * get(d, k)
        for k in range(len(p)):
            put(d, k, get(p, k) * (get(d, k) - along) * by)


@compiled
def _cross_entropy(logits: Any, aims: Any, scale: float, nll: Any, table: Any) -> None:
    by = wide(logits, scale)
    for n in range(len(logits)):
        row, aim, total = logits[n], aims[n], wide(logits, 0.0)
        top = wide(logits, -np.inf)
        for k in range(len(row)):
            top = larger(get(row, k), top)
        for k in range(len(row)):
            table[k] = exp(logits, get(row, k) - top)
            total += table[k]
        nll[n] = np.log(total) + top - get(row, aim)
        total = by / total
        for k in range(len(row)):
            put(row, k, table[k] * total)
        put(row, aim, table[aim] * total - by)


def gate(g: Any, up: Any, out: Any, do: Any = now) -> Any:
    """Write silu(g) · up into `out`, all of one shape; return it."""
    do(_gate, *(bits(x.view(-1)) for x in (g, up, out)))
    return out


def gate_back(g: Any, up: Any, slope: Any, out: Any, do: Any = now) -> tuple[Any, Any]:
    """Return the gradients of g and up; `slope` is that of their product.

    That of g is written into `out`, that of up over `slope`.
    """
    do(_gate_back, *(bits(x.view(-1)) for x in (g, up, slope, out)))
    return out, slope


def turned_over(x: Any, out: Any, do: Any = now) -> None:
    """Write xᵀ into `out` [columns, rows]."""
    do(_turn_over, bits(x), bits(out))


def rms_norm_back(
    slope: Any, x: Any, norm: tuple[Any, Any], add: Any, out: Any, do: Any = now
) -> Any:
    """Write the gradient of RMSNorm's x [N, size], plus `add` (or None), into `out`; return it.

    `norm`: the weight, and the factor [N, 1] of each row. With y = w · f · x and f the root's
    inverse, dx = f · w · dy - f³ · x · mean(w · dy · x).
    """
    add = x[:0] if add is None else add
    do(_rms_back, *map(bits, (slope, x, *norm, add, out)))
    return out


def turn(flat: Any, angles: tuple[Any, Any], skip: int, out: Any, do: Any = now) -> None:
    """Rotate heads by position (RoPE) into `out` [rows, kept heads, group, skip + length, width].

    `flat` is [rows · length, heads · width]; `angles`: cos and sin [length, width / 2].
    """
    do(_turn, bits(_by_head(flat, out, skip)), *map(bits, angles), skip, bits(_halves(out)))


def turn_back(slope: Any, angles: tuple[Any, Any], skip: int, flat: Any, do: Any = now) -> None:
    """Rotate the gradient of what `turn` wrote back, into `flat`."""
    heads, back = bits(_halves(slope)), bits(_by_head(flat, slope, skip))
    do(_turn_back, heads, *map(bits, angles), skip, back)


def padded(flat: Any, starts: Any, out: Any, do: Any = now) -> None:
    """Lay rows of unlike length out at one length, zeros behind them: `out` [rows · length, size].

    Row r is starts[r] to starts[r + 1] of `flat` [N, size].
    """
    do(_padded, bits(flat), starts, bits(out))


def packed(wide: Any, starts: Any, out: Any, do: Any = now) -> None:
    """Write the real tokens of what `padded` laid out into `out` [N, size]."""
    do(_packed, bits(wide), starts, bits(out))


def score_slopes(weights: Any, slopes: Any, scale: float, do: Any = now) -> Any:
    """Turn the gradient of attention weights P into that of the scores, where it lies.

    dS = scale · P · (dP - Σ P · dP) by query; [..., keys] both.
    """
    keys = weights.shape[-1]
    do(_score_slopes, bits(weights.view(-1, keys)), bits(slopes.view(-1, keys)), scale)
    return slopes


def cross_entropy(logits: Any, aims: Any, scale: float) -> Any:
    """Return the loss (nats) of each aim under logits [N, vocabulary], fp32 or wider.

    In the logits' place is left the gradient of `scale` times the sum: softmax - one-hot.
    """
    kind = wide_of(logits.dtype)
    nll, table = (torch.empty(size, dtype=kind) for size in logits.shape)
    _cross_entropy(bits(logits), aims.numpy(), scale, nll.numpy(), table.numpy())
    return nll


def _halves(heads: Any) -> Any:
    return heads.unflatten(-1, (2, heads.shape[-1] // 2))


def _by_head(flat: Any, heads: Any, skip: int) -> Any:
    rows, length, width = heads.shape[0], heads.shape[3] - skip, heads.shape[4]
    return flat.view(rows, length, -1, 2, width // 2)
