"""bf16 GEMM with a layer's unpacked weights, used where it is faster than torch's.

With AVX512 bf16 and no matrix unit, a plain loop over the weights is as fast as the instruction
allows. For few rows oneDNN's packed products are a quarter slower, and they need a second copy of
the weights. A low-rank change is added in the same pass. Knows no model and no layer.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from llvmlite.binding import (
    add_symbol,
    get_host_cpu_features,
)
from numba import config, types
from numba.core.errors import NumbaError
from numba.extending import overload, register_jitable

from tuneworthy_cpu.compiled import c_function, get, put, wide
from tuneworthy_cpu.gemm.tiles import (
    SIDE,
    TALL,
    WIDE,
    add_tall_tile,
    block,
    doubles,
    halves,
    longs,
    prefetch_line,
    singles,
    strip,
)

carray: Any = vars(numba)["carray"]
GRAIN = 16  # the length of a row must be a multiple of this
_NAMED = types.void(*[types.int64] * 3)
_AHEAD = 16 << 10  # prefetch distance in bytes; less stalls, more gains nothing
_DEEP, _MANY = 1024, 4096  # above _MANY rows of weights, strips read _DEEP rows at a time
_KEPT = 512 << 10  # bytes of x per pass over the weights: they stay in the cache


@cache
def own_gemm_available() -> bool:
    """Return whether this processor uses this GEMM; on others torch's is as fast or faster."""
    machine: Any = config
    # numba compiles for another processor
    if machine.CPU_NAME or machine.CPU_FEATURES or machine.DISABLE_JIT:
        return False
    has = get_host_cpu_features()
    if not (has.get("avx512bf16") and has.get("avx512bw")) or has.get("amx-bf16"):
        return False
    try:
        for loop in (_blocks, _strips):
            add_symbol(f"tuneworthy{loop.__name__}", c_function(loop, _NAMED).address)
    except (NumbaError, RuntimeError):  # this LLVM version has another form of the instruction
        return False
    return True


def gemm_supports(weight: Any) -> bool:
    """Return whether this GEMM takes a weight [out, in]: it must be bf16 and of whole blocks."""
    count, size = weight.shape
    half = weight.dtype == torch.bfloat16
    return bool(half and count % SIDE == 0 and size % GRAIN == 0 and own_gemm_available())


def multiply(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
    """In compiled code: out = x wᵀ + y vᵀ + add, rounded once; y and v, or add, may be empty.

    Each row must be contiguous, with any row stride; an `add` of one row is broadcast; `out` may be
    `add`. bf16 comes as uint16 and must consist of whole blocks (`gemm_supports`), also y and v.
    """


@overload(multiply, strict=False)
def _multiply_of(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> Any:  # noqa: ARG001
    def half(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
        operands = operand_array(x, w, (y, v), add, out)
        blocks(address(operands), 0, len(w))

    def rows(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
        _multiply_rows(x, w, y, v, add, out)

    return half if x.dtype == types.uint16 and own_gemm_available() else rows


@register_jitable
def _dot(row: Any, x: Any) -> Any:
    total = wide(row, 0.0)
    for k in range(len(x)):
        total += get(row, k) * get(x, k)
    return total


@register_jitable
def _multiply_rows(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> None:
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
    """In compiled code: return the address of an array's memory."""
    return np.int64(a.ctypes.data)


def array_at(like: Any, at: Any, shape: Any) -> Any:
    """In compiled code: return an array of a shape at address `at`, with the dtype of `like`.

    It is contiguous; the owner of the address keeps the memory alive.
    """


@overload(array_at, strict=False)
def _array_at_of(like: Any, at: Any, shape: Any) -> Any:  # noqa: ARG001
    kinds = {types.uint16: halves, types.float32: singles, types.float64: doubles}
    point = kinds[like.dtype]
    return lambda like, at, shape: carray(point(at), shape)


@register_jitable
def operand_table(x: Any, w: Any, y: Any, v: Any, add: Any, out: Any) -> Any:
    """In compiled code: return a tuple of sizes, addresses and strides of a product's operands."""
    added, by_row = len(add) > 0, len(add) > 1
    return (
        len(x), x.shape[1] * 2, y.shape[1] * 2, address(x), x.strides[0], address(w), w.strides[0],
        address(y), y.strides[0], address(v), v.strides[0], address(add) * added,
        add.strides[0] * by_row, 2 * added, address(out), out.strides[0],
    )  # fmt: skip


@register_jitable
def operand_array(x: Any, w: Any, low: Any, add: Any, out: Any) -> Any:
    """In compiled code: return `operand_table` as an array, for `blocks` and `strips`."""
    operands, given = np.empty(16, np.int64), operand_table(x, w, low[0], low[1], add, out)
    for k in range(len(given)):
        operands[k] = given[k]
    return operands


@register_jitable
def _row_columns(given: Any, m: Any, start: Any, end: Any) -> None:
    """Write columns of row m as dot products: for one row, only memory limits the speed."""
    size, ranks, steps = given[1] // 2, given[2] // 2, given[13]
    x = carray(halves(given[3] + m * given[4]), size)
    y = carray(halves(given[7] + m * given[8]), ranks)
    add = carray(halves(given[11] + m * given[12]), end)
    out = carray(halves(given[14] + m * given[15]), end)
    for n in range(start, end):
        total = _dot(carray(halves(given[5] + n * given[6]), size), x)
        if ranks:
            total += _dot(carray(halves(given[9] + n * given[10]), ranks), y)
        if steps:
            total += get(add, n)
        put(out, n, total)


def _blocks(at: Any, start: Any, end: Any) -> None:
    given = carray(longs(at), 16)
    rows, size, more, x, x_row = given[0], given[1], given[2], given[3], given[4]
    if rows == 1 or size % (2 * GRAIN) or more % (2 * GRAIN) or (end - start) % SIDE:
        for m in range(rows):
            _row_columns(given, m, start, end)
        return
    w, w_row, y, y_row, v, v_row = given[5], given[6], given[7], given[8], given[9], given[10]
    add, add_row, add_step, out, out_row = given[11], given[12], given[13], given[14], given[15]
    height = max(SIDE, _KEPT // size // SIDE * SIDE)
    for first in range(0, rows, height):
        stop = min(first + height, rows)
        # spread the prefetches over the blocks, which hide their latency
        lines = (SIDE * w_row + 63) // 64
        each = -(-lines // ((stop - first + SIDE - 1) // SIDE))
        for n in range(start, end, SIDE):
            ahead = w + n * w_row + _AHEAD
            for m in range(first, stop, SIDE):
                for k in range(each):
                    prefetch_line(ahead + k * 64)
                ahead += each * 64
                block(
                    (
                        x + m * x_row, x_row, w + n * w_row, w_row, size, y + m * y_row, y_row,
                        v + n * v_row, v_row, more, add + m * add_row + n * add_step, add_row,
                        out + m * out_row + n * 2, out_row, rows - 1 - m,
                    )
                )  # fmt: skip


@register_jitable
def _add_deep_product(sides: Any, shape: Any, start: Any, sums: Any) -> None:
    """Add columns of x w to `sums`, a block of w's rows at a time, which stays in the cache."""
    (x, x_row, w, w_row), (rows, size) = sides, shape
    for k in range(0, size, _DEEP):
        for n in range(0, sums.shape[1], WIDE):
            for m in range(0, rows, TALL):
                add_tall_tile(
                    (
                        x + m * x_row + k * 2, x_row, w + k * w_row + (start + n) * 2, w_row,
                        min(_DEEP, size - k), address(sums[m, n:]), sums.strides[0], rows - 1 - m,
                    )
                )  # fmt: skip


@register_jitable
def _deep_columns(given: Any, start: Any, end: Any) -> None:
    rows, size, more = given[0], given[1] // 2, given[2] // 2
    sums = np.zeros((rows, end - start), np.float32)
    _add_deep_product((given[3], given[4], given[5], given[6]), (rows, size), start, sums)
    _add_deep_product((given[7], given[8], given[9], given[10]), (rows, more), start, sums)
    for m in range(rows):
        add = carray(halves(given[11] + m * given[12]), end)
        out = carray(halves(given[14] + m * given[15]), end)
        for n in range(start, end):
            put(out, n, sums[m, n - start] + (get(add, n) if given[13] else np.float32(0)))


def _strips(at: Any, start: Any, end: Any) -> None:
    given = carray(longs(at), 16)
    rows, size, more, x, x_row = given[0], given[1] // 2, given[2] // 2, given[3], given[4]
    if size > _MANY:
        _deep_columns(given, start, end)
        return
    w, w_row, y, y_row, v, v_row = given[5], given[6], given[7], given[8], given[9], given[10]
    add, add_row, add_step, out, out_row = given[11], given[12], given[13], given[14], given[15]
    for n in range(start, end, WIDE):
        for m in range(0, rows, TALL):
            strip(
                (
                    x + m * x_row, x_row, w + n * 2, w_row, size,
                    y + m * y_row, y_row, v + n * 2, v_row, more,
                    add + m * add_row + n * add_step, add_row, out + m * out_row + n * 2, out_row,
                    rows - 1 - m,
                )
            )  # fmt: skip


# Called by symbol name, so that they are compiled once and not inlined into every loop. In compiled
# code: write columns of x wᵀ + y vᵀ + add, or of x w + y v + add in whole WIDEs. Arguments: the
# address of the array that `operand_array` returns, the first column, and the one after the last.
blocks: Any = types.ExternalFunction("tuneworthy_blocks", _NAMED)
strips: Any = types.ExternalFunction("tuneworthy_strips", _NAMED)
