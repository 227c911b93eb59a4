"""Compile loops with numba; bf16 loads and stores, maximum and exponentials for their code.

numba has no bf16: such an array is passed as uint16, widened on load and rounded on store. Only the
first use on a machine compiles; the code is then cached next to this file. Knows no model and no
layer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import cfunc, config, njit, types
from numba.extending import intrinsic, overload, register_jitable

from tuneworthy_cpu.loop_cache import COMPILED_LOOPS

# Sums may be reordered, but NaN must stay NaN, so that broken weights are noticed.
_NUMBA_OPTIONS: dict[str, Any] = {
    "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}  # fmt: skip
_SHORT, _INT, _FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()
_F = np.float32


def compiled(loop: Any) -> Any:
    """Return a loop compiled by numba; it raises TypeError for unsupported argument types."""
    return _with_cache(lambda cache: njit(nogil=True, cache=cache, **_NUMBA_OPTIONS)(loop))


def _with_cache(make: Any) -> Any:
    where: Any = config
    kept = where.CACHE_DIR
    where.CACHE_DIR = kept or str(COMPILED_LOOPS)
    try:
        return make(True)
    except RuntimeError:  # no writable cache folder: compile in every process
        return make(False)
    finally:
        where.CACHE_DIR = kept


def c_function(loop: Any, signature: Any) -> Any:
    """Return a loop compiled as a C function, whose address LLVM code can call."""
    return _with_cache(lambda cache: cfunc(signature, cache=cache, **_NUMBA_OPTIONS)(loop))


def _operation(arguments: tuple[Any, ...], result: Any, write: Any) -> Any:
    """Return a numba intrinsic whose LLVM code `write(builder, *values)` emits."""

    def one(context: Any, x: Any) -> Any:  # noqa: ARG001
        return result(*arguments), lambda context, builder, sig, given: write(builder, *given)

    def two(context: Any, x: Any, y: Any) -> Any:  # noqa: ARG001
        return result(*arguments), lambda context, builder, sig, given: write(builder, *given)

    return intrinsic(one if len(arguments) == 1 else two)


def _to_bf16_bits(b: Any, x: Any) -> Any:
    bits = b.bitcast(x, _INT)  # round to nearest, ties to even
    odd = b.and_(b.lshr(bits, _INT(16)), _INT(1))
    return b.trunc(b.lshr(b.add(bits, b.add(odd, _INT(0x7FFF))), _INT(16)), _SHORT)


def _greater(b: Any, x: Any, y: Any) -> Any:
    flags = ["nnan", "nsz"]  # else LLVM does not recognise a maximum reduction
    return b.select(b.fcmp_ordered(">", x, y, flags=flags), x, y, flags=flags)


_f32 = types.float32
_widen = _operation(
    (types.uint16,), _f32, lambda b, x: b.bitcast(b.shl(b.zext(x, _INT), _INT(16)), _FLOAT)
)
_narrow = _operation((_f32,), types.uint16, _to_bf16_bits)
_round_to_integer = _operation(
    (_f32,), _f32, lambda b, x: b.call(b.module.declare_intrinsic("llvm.rint", [_FLOAT]), [x])
)
_power_of_two = _operation(
    (_f32,),
    _f32,
    lambda b, x: b.bitcast(b.shl(b.add(b.fptosi(x, _INT), _INT(127)), _INT(23)), _FLOAT),
)
_maximum = _operation((_f32, _f32), _f32, _greater)
_minimum = _operation((_f32, _f32), _f32, lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), y, x))
_zero_below = _operation(
    (_f32, _f32),
    _f32,
    lambda b, x, y: b.select(b.fcmp_ordered("<", x, _FLOAT(-80.0)), _FLOAT(0.0), y),
)


def get(a: Any, k: Any) -> Any:
    """In compiled code: return a[k], bf16 widened to fp32."""


def put(a: Any, k: Any, x: Any) -> Any:
    """In compiled code: set a[k] = x, rounded to a's type."""


def wide(a: Any, x: Any) -> Any:
    """In compiled code: return x as fp64 if `a` is fp64, else as fp32, as for sums over `a`."""


def larger(x: Any, y: Any) -> Any:
    """In compiled code: return the larger of two numbers; either one if one is NaN."""


def exp(a: Any, x: Any) -> Any:
    """In compiled code: return e^x with the precision that array `a` needs."""


@overload(get, strict=False)
def _get_of(a: Any, k: Any) -> Any:  # noqa: ARG001
    return (lambda a, k: _widen(a[k])) if a.dtype == types.uint16 else (lambda a, k: a[k])


@overload(put, strict=False)
def _put_of(a: Any, k: Any, x: Any) -> Any:  # noqa: ARG001
    def half(a: Any, k: Any, x: Any) -> None:
        a[k] = _narrow(_F(x))

    def whole(a: Any, k: Any, x: Any) -> None:
        a[k] = x

    return half if a.dtype == types.uint16 else whole


@overload(wide, strict=False)
def _wide_of(a: Any, x: Any) -> Any:  # noqa: ARG001
    return (lambda a, x: np.float64(x)) if a.dtype == types.float64 else (lambda a, x: _F(x))


@overload(larger, strict=False)
def _larger_of(x: Any, y: Any) -> Any:  # noqa: ARG001
    return (lambda x, y: _maximum(x, y)) if x == _f32 else (lambda x, y: x if x > y else y)


@register_jitable
def _exp32(x: Any) -> Any:
    """Return e^x within 2e-7; 0 below -80 (1.8e-35); x is capped at 88, near fp32's overflow.

    2^k · e^r with |r| ≤ ln(2) / 2, e^r by the minimax polynomial of Cephes' expf.
    """
    high = _minimum(x, _F(88.0))
    k = _round_to_integer(high * _F(1.44269504))
    r = high - k * _F(0.693359375)
    r = r + k * _F(2.12194440e-4)
    p = _F(1.9875691500e-4) * r + _F(1.3981999507e-3)
    p = p * r + _F(8.3334519073e-3)
    p = p * r + _F(4.1665795894e-2)
    p = p * r + _F(1.6666665459e-1)
    p = p * r + _F(5.0000001201e-1)
    p = p * r * r + r + _F(1.0)
    return _zero_below(x, p * _power_of_two(k))


@register_jitable
def _exp16(x: Any) -> Any:
    """Return e^x within 1e-5, a hundredth of bf16's rounding error; 0 below -80, at most 1.7e38.

    2^k · 2^f with |f| ≤ 1/2, 2^f by the polynomial of degree 4 with the least maximum relative
    error (2.6e-6; found by reweighted least squares). Half the operations of `_exp32`.
    """
    scaled = _minimum(x * _F(1.44269504), _F(127.0))
    k = _round_to_integer(scaled)
    f = scaled - k
    p = _F(0.00957009) * f + _F(0.05591786)
    p = p * f + _F(0.24024745)
    p = p * f + _F(0.69312181)
    p = p * f + _F(0.99999926)
    return _zero_below(x, p * _power_of_two(k))


@overload(exp, strict=False)
def _exp_of(a: Any, x: Any) -> Any:
    if a.dtype == types.uint16:
        return lambda a, x: _exp16(x)
    return (lambda a, x: _exp32(x)) if x == _f32 else (lambda a, x: math.exp(x))


def call_now(call: Any, *given: Any) -> None:
    """Call `call` with the other arguments: the default of the `do` parameters."""
    call(*given)


def as_array(tensor: Any) -> Any:
    """Return a tensor as a numpy array that shares its memory, bf16 as uint16."""
    half = tensor.dtype == torch.bfloat16
    return (tensor.view(torch.uint16) if half else tensor).numpy()


def wide_of(dtype: Any) -> Any:
    """Return the dtype of sums and scores for a model's dtype: fp64 for fp64, else fp32."""
    return torch.float64 if dtype == torch.float64 else torch.float32
