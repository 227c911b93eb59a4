"""Products with a layer's weights, which are read as they lie: for bf16 where it pays.

With AVX512 bf16 and no matrix unit a plain loop over the weights is as fast as the instruction
allows, also for few rows, where oneDNN's packed products lose a quarter (FINDINGS), and a second
copy of the weights is spared. A low-rank change is added on the way. A product runs on the calling
thread and lets others run beside it. Knows no model and no layer.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from numba import config, types
from numba.extending import overload, register_jitable

from tuneworthy.models._blocks import SIDE, block, fetch
from tuneworthy.models._compiled import bits, compiled, get, put, wide

GRAIN = 16  # numbers of a row that are multiplied at once, at least
_AHEAD = 16 << 10  # bytes of weights asked for ahead of their use; fewer wait, more change nothing
_KEPT = 512 << 10  # bytes of x that are multiplied with all weights in turn: they stay in the cache


@cache
def able() -> bool:
    """Return whether products are taken here: on others, torch's own are as fast or faster."""
    machine: Any = config
    if machine.CPU_NAME or machine.CPU_FEATURES or machine.DISABLE_JIT:  # compiled for another one
        return False
    has = get_host_cpu_features()
    return bool(has.get("avx512bf16") and has.get("avx512bw") and not has.get("amx-bf16"))


def fits(weight: Any) -> bool:
    """Return whether products with a weight [out, in] are taken: bf16, in whole blocks."""
    count, size = weight.shape
    half = weight.dtype == torch.bfloat16
    return bool(half and count % SIDE == 0 and size % GRAIN == 0 and able())


def product(x: Any, weight: Any, low: Any = None, add: Any = None, out: Any = None) -> Any:
    """Return x weightᵀ + y vᵀ + add, [N, out], each sum rounded once; the weight must fit.

    `low` is (y, v) [N, ranks], [out, ranks] of whole GRAIN ranks, or None; `add` [N, out], or [1,
    out] for every row, or None; `out` may be `add`. Rows must be contiguous, however far apart.
    """
    out = x.new_empty(len(x), len(weight)) if out is None else out
    none = x.new_empty(0, 0)
    y, v = low or (none, none)
    _multiply(*map(bits, (x, weight, y, v, none if add is None else add, out)))
    return out


def multiply(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
    """In a loop: out = x wᵀ + y vᵀ + add, as `product` does; y and v, or add, may be empty."""


@overload(multiply, strict=False)
def _multiply_of(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> Any:  # noqa: ARG001
    def blocks(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
        if len(x) > 1:
            _blocks(x, w, y, v, add, out)
        else:
            _rows(x, w, y, v, add, out)

    def rows(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
        _rows(x, w, y, v, add, out)

    return blocks if x.dtype == types.uint16 and able() else rows


@register_jitable
def _dot(row: Any, x: Any) -> Any:
    total = wide(row, 0.0)
    for k in range(len(x)):
        total += get(row, k) * get(x, k)
    return total


@register_jitable
def _rows(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
    for m in range(len(x)):
        for n in range(len(w)):
            total = _dot(w[n], x[m])
            if y.shape[1]:
                total += _dot(v[n], y[m])
            if len(add):
                total += get(add, (min(m, len(add) - 1), n))
            put(out, (m, n), total)


@register_jitable
def address(a: Any) -> Any:
    """In a loop: where an array begins."""
    return np.int64(a.ctypes.data)


@register_jitable
def _blocks(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
    rows, size, more = len(x), x.shape[1] * 2, y.shape[1] * 2
    (x_row, w_row, y_row), (v_row, out_row) = (x.strides[0], w.strides[0], y.strides[0]), (
        v.strides[0], out.strides[0]
    )  # fmt: skip
    at_x, at_w, at_y, at_v, at_out = address(x), address(w), address(y), address(v), address(out)
    at_add, add_row = address(add) * (len(add) > 0), add.strides[0] * (len(add) > 1)
    add_step = 2 * (len(add) > 0)
    some = max(SIDE, _KEPT // size // SIDE * SIDE)
    for first in range(0, rows, some):
        stop = min(first + some, rows)
        lines = (SIDE * w_row + 63) // 64  # shared out over the blocks, which hide the wait
        each = -(-lines // ((stop - first + SIDE - 1) // SIDE))
        for n in range(0, len(w), SIDE):
            ahead = at_w + n * w_row + _AHEAD
            for m in range(first, stop, SIDE):
                for k in range(each):
                    fetch(ahead + k * 64)
                ahead += each * 64
                block(
                    (
                        at_x + m * x_row, x_row, at_w + n * w_row, w_row, size,
                        at_y + m * y_row, y_row, at_v + n * v_row, v_row, more,
                        at_add + m * add_row + n * add_step, add_row,
                        at_out + m * out_row + n * 2, out_row, rows - 1 - m,
                    )
                )  # fmt: skip


@compiled
def _multiply(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
    multiply(x, w, y, v, add, out)
