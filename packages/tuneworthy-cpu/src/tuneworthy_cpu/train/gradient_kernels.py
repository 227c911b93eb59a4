"""Element-wise and reduction kernels of the gradient, each as one compiled loop.

As in `read/layer_kernels.py`, bf16 is widened on load, sums are fp32 (fp64 for fp64), the result is
rounded once, and arrays must be contiguous. `do` makes a kernel's call at once or records it for
repeated runs. Knows no layer, no optimizer and no task.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

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


@compiled
def _gate(gate: Any, up: Any, out: Any) -> None:
    one = wide(out, 1.0)
    for k in range(len(out)):
        g = get(gate, k)
        put(out, k, g / (one + exp(out, -g)) * get(up, k))


@compiled
def _gate_backward(gate: Any, up: Any, slope: Any, out: Any) -> None:
    one = wide(out, 1.0)
    for k in range(len(out)):
        g, d = get(gate, k), get(slope, k)
        s = one / (one + exp(out, -g))
        put(out, k, d * get(up, k) * s * (one + g * (one - s)))
        put(slope, k, d * g * s)


@compiled
def _transpose(x: Any, out: Any) -> None:
    for k in range(x.shape[1]):
        for n in range(len(x)):
            out[k, n] = x[n, k]


@compiled
def _rms_backward(slope: Any, x: Any, weight: Any, factor: Any, add: Any, out: Any) -> None:
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
def _gather(flat: Any, starts: Any, before: Any, angles: Any, head: Any, out: Any) -> None:
    (cos, sin), kept, group, half = angles, out.shape[1], out.shape[2], out.shape[5]
    past = before.shape[2]
    for r in range(len(out)):
        start, count = starts[r], starts[r + 1] - starts[r]
        for h in range(kept):
            for g in range(group):
                done, at = out[r, h, g], (head + h) * group + g
                for t in range(past):
                    done[t] = before[0, h, t]
                for t in range(count):
                    row, to = flat[start + t, at], done[past + t]
                    if len(cos):
                        for k in range(half):
                            x, y = get(row, (0, k)), get(row, (1, k))
                            c, s = get(cos, (t, k)), get(sin, (t, k))
                            put(to, (0, k), x * c - y * s)
                            put(to, (1, k), y * c + x * s)
                    else:
                        for k in range(half):
                            to[0, k], to[1, k] = row[0, k], row[1, k]
                done[past + count :] = 0


@compiled
def _scatter(heads: Any, starts: Any, past: Any, angles: Any, head: Any, flat: Any) -> None:
    (cos, sin), kept, group, half = angles, heads.shape[1], heads.shape[2], heads.shape[5]
    for r in range(len(heads)):
        start = starts[r]
        for h in range(kept):
            for g in range(group):
                given, at = heads[r, h, g], (head + h) * group + g
                for t in range(starts[r + 1] - start):
                    row, to = given[past + t], flat[start + t, at]
                    if len(cos):
                        for k in range(half):
                            x, y = get(row, (0, k)), get(row, (1, k))
                            c, s = get(cos, (t, k)), get(sin, (t, k))
                            put(to, (0, k), x * c + y * s)
                            put(to, (1, k), y * c - x * s)
                    else:
                        for k in range(half):
                            to[0, k], to[1, k] = row[0, k], row[1, k]


@compiled
def _add_rows(more: Any, head: Any, out: Any, table: Any) -> None:
    for h in range(out.shape[1]):
        for t in range(out.shape[2]):
            to = out[0, h, t]
            for k in range(len(to)):
                table[k] = get(to, k)
            for r in range(len(more)):
                row = more[r, head + h, t]
                for k in range(len(to)):
                    table[k] += get(row, k)
            for k in range(len(to)):
                put(to, k, table[k])


@compiled
def _softmax_backward(weights: Any, slopes: Any, scale: float) -> None:
    by = wide(slopes, scale)
    for n in range(len(slopes)):
        p, d, along = weights[n], slopes[n], wide(slopes, 0.0)
        for k in range(len(p)):
            along += get(p, k) * get(d, k)
        for k in range(len(p)):
            put(d, k, get(p, k) * (get(d, k) - along) * by)


@compiled
def _cross_entropy(logits: Any, targets: Any, scale: float, nll: Any, table: Any) -> None:
    by = wide(logits, scale)
    for n in range(len(logits)):
        row, target, total = logits[n], targets[n], wide(logits, 0.0)
        top = wide(logits, -np.inf)
        for k in range(len(row)):
            top = larger(get(row, k), top)
        for k in range(len(row)):
            table[k] = exp(logits, get(row, k) - top)
            total += table[k]
        nll[n] = np.log(total) + top - get(row, target)
        total = by / total
        for k in range(len(row)):
            put(row, k, table[k] * total)
        put(row, target, table[target] * total - by)


def gate(g: Any, up: Any, out: Any, do: Any = call_now) -> Any:
    """Write silu(g) · up into `out`, all of one shape; return it."""
    do(_gate, *(as_array(x.view(-1)) for x in (g, up, out)))
    return out


def gate_backward(g: Any, up: Any, slope: Any, out: Any, do: Any = call_now) -> tuple[Any, Any]:
    """Return the gradients of g and up, given the gradient `slope` of silu(g) · up.

    The gradient of g is written into `out`, that of up over `slope`.
    """
    do(_gate_backward, *(as_array(x.view(-1)) for x in (g, up, slope, out)))
    return out, slope


def transpose(x: Any, out: Any, do: Any = call_now) -> None:
    """Write xᵀ into `out` [columns, rows]."""
    do(_transpose, as_array(x), as_array(out))


def rms_norm_backward(
    slope: Any, x: Any, norm: tuple[Any, Any], add: Any, out: Any, do: Any = call_now
) -> Any:
    """Write the gradient of RMSNorm's x [N, size], plus `add` (or None), into `out`; return it.

    `norm`: the weight, and the factor [N, 1] of each row. With y = w · f · x, where f is 1 over the
    root mean square, dx = f · w · dy - f³ · x · mean(w · dy · x).
    """
    add = x[:0] if add is None else add
    do(_rms_backward, *map(as_array, (slope, x, *norm, add, out)))
    return out


def gather(
    flat: Any, place: tuple[Any, int], before: Any, angles: Any, out: Any, do: Any = call_now
) -> None:
    """Write tokens by row and head into `out`; rotate them by position if `angles` are given.

    `place`: the start offsets (row r is starts[r] to starts[r + 1] of `flat` [N, heads · width]),
    and the first kept head of `out`. Each row is preceded by `before` [1, kept heads, past, width]
    (or None) and followed by zeros. `angles`, cos and sin [length, width / 2], rotate by position
    (RoPE).
    """
    starts, head = place
    before = out[:1, :, 0, :0] if before is None else before
    heads = (
        as_array(_split_halves(before)),
        _angle_arrays(angles, flat),
        head,
        as_array(_split_halves(out)),
    )
    do(_gather, as_array(_by_head(flat, out)), starts, *heads)


def scatter(
    heads: Any, place: tuple[Any, int], past: int, angles: Any, flat: Any, do: Any = call_now
) -> None:
    """Write `heads` by token into `flat` without the first `past` tokens: the inverse of `gather`.

    `angles`, if given, rotate back.
    """
    source = as_array(_split_halves(heads)), place[0], past, _angle_arrays(angles, flat), place[1]
    do(_scatter, *source, as_array(_by_head(flat, heads)))


def add_row_sums(more: Any, head: int, out: Any, do: Any = call_now) -> None:
    """Add `more` [rows, heads, more, width] summed over rows to `out` [1, kept heads, past, width].

    `head` is the first head of `more` to add. Each sum is rounded once.
    """
    table = torch.empty(out.shape[3], dtype=wide_of(out.dtype)).numpy()
    do(_add_rows, as_array(more), head, as_array(out), table)


def softmax_backward(weights: Any, slopes: Any, scale: float, do: Any = call_now) -> Any:
    """Overwrite `slopes`, the gradient of attention weights P, with that of the scores; return it.

    For each query dS = scale · P · (dP - Σ P · dP). Both arrays are [..., keys].
    """
    keys = weights.shape[-1]
    do(_softmax_backward, as_array(weights.view(-1, keys)), as_array(slopes.view(-1, keys)), scale)
    return slopes


def cross_entropy(logits: Any, targets: Any, scale: float) -> Any:
    """Return the loss (nats, fp32 or wider) of each target id under logits [N, vocabulary].

    Overwrites the logits with the gradient of `scale` times the sum: softmax - one-hot.
    """
    kind = wide_of(logits.dtype)
    nll, table = (torch.empty(size, dtype=kind) for size in logits.shape)
    _cross_entropy(as_array(logits), targets.numpy(), scale, nll.numpy(), table.numpy())
    return nll


def _split_halves(heads: Any) -> Any:
    return heads.unflatten(-1, (2, heads.shape[-1] // 2))


def _by_head(flat: Any, heads: Any) -> Any:
    return _split_halves(flat.view(len(flat), -1, heads.shape[-1]))


def _angle_arrays(angles: Any, like: Any) -> tuple[Any, Any]:
    cos, sin = angles or (like.new_empty(0, 0),) * 2
    return as_array(cos), as_array(sin)
