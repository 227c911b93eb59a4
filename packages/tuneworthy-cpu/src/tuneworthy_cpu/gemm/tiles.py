"""LLVM code of the bf16 GEMM micro-kernels that the loops of `products.py` call.

AVX512 bf16 multiplies 32 pairs of bf16 and adds them to 16 fp32 sums in one instruction
(`vdpbf16ps`). If both operands are contiguous along the summed axis they need no packing (`block`);
otherwise pairs of rows are interleaved as they are read (`strip`). Knows no model, no layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types as untyped_types
from numba.core import cgutils as untyped
from numba.extending import intrinsic

SIDE = 4  # rows and columns of a block: its 16 sums and their operands fit in registers
_CHUNK = 64  # bytes that an instruction reads
TALL, WIDE = 8, 32  # rows and columns of a strip tile
FEW = 4  # rows of the smaller tile that adds to fp32 sums
_NAME, _STRIP = "tuneworthy.block", "tuneworthy.strip"
_FEW, _TALL = "tuneworthy.few", "tuneworthy.tall"
_DOT = "llvm.x86.avx512bf16.dpbf16ps.512"
cgutils: Any = untyped
types: Any = untyped_types


class _Bf16(ir.Type):  # type: ignore[misc]
    """The LLVM type `bfloat`, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bf16)

    def __hash__(self) -> int:
        return hash(_Bf16)


_LONG, _INT, _FLOAT, _BF16 = ir.IntType(64), ir.IntType(32), ir.FloatType(), _Bf16()
_SUMS, _PAIRS = ir.VectorType(_FLOAT, 16), ir.VectorType(_BF16, 32)
_HALF = ir.VectorType(_INT, 8)
_ROUNDED, _FOURS = ir.VectorType(_BF16, 16), ir.VectorType(_LONG, 4)
_WIDE = ir.VectorType(_FLOAT, 32)


def _declare(module: Any, kind: Any, name: str) -> Any:
    return module.globals.get(name) or ir.Function(module, kind, name)


def _order(lanes: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(_INT, len(lanes)), [ir.Constant(_INT, k) for k in lanes])


def _reduce(vectors: Sequence[Any], fold: Any) -> tuple[Any, list[int]]:
    """Return the 16 vectors' horizontal sums in one vector, and the lane of each sum.

    Pairwise reduction: one half of each group of lanes stays and the other half is added to it,
    until a group is one lane. `fold` (a, b, near, far) adds lanes of two vectors to other lanes.
    The lanes that stay are a blend, which is cheaper than a permutation.
    """
    partial, owner, size = list(vectors), [[n] * 16 for n in range(16)], 16
    while size > 1:
        half = size // 2
        own = [k % size < half for k in range(16)]
        near = [k if mine else 16 + k for k, mine in enumerate(own)]
        far = [k + half if mine else 16 + k - half for k, mine in enumerate(own)]
        partial = [fold(a, b, near, far) for a, b in zip(partial[::2], partial[1::2], strict=True)]
        owner = [
            [a[k] if mine else b[k] for k, mine in enumerate(own)]
            for a, b in zip(owner[::2], owner[1::2], strict=True)
        ]
        size = half
    place = {sums: lane for lane, sums in enumerate(owner[0])}
    return partial[0], [place[n] for n in range(16)]


def _rows(b: Any, first: Any, stride: Any, last: Any, count: int = SIDE) -> list[Any]:
    """Return the addresses of `count` rows, clamped to row `last`."""
    numbers = [_LONG(n) for n in range(count)]
    kept = [b.select(b.icmp_signed("<", n, last), n, last) for n in numbers]
    return [b.add(first, b.mul(stride, n)) for n in kept]


def _chunk(b: Any, at: Any, whole: bool) -> Any:
    if whole:
        return b.load(b.inttoptr(at, _PAIRS.as_pointer()), align=2)
    half = b.load(b.inttoptr(at, _HALF.as_pointer()), align=2)
    zero = ir.Constant(_HALF, [ir.Constant(_INT, 0)] * 8)
    return b.bitcast(b.shuffle_vector(half, zero, _order(range(16))), _PAIRS)


def _add_row_products(b: Any, sums: Sequence[Any], sides: Any, size: Any) -> None:
    """Add the products of two sets of rows, each `size` bytes long, to the sums."""
    left, right = sides
    dot = _declare(b.module, ir.FunctionType(_SUMS, [_SUMS, _PAIRS, _PAIRS]), _DOT)

    def add(at: Any, whole: bool) -> None:
        others = [_chunk(b, b.add(row, at), whole) for row in right]
        for m, row in enumerate(left):
            own = _chunk(b, b.add(row, at), whole)
            for n, other in enumerate(others):
                place = sums[m * SIDE + n]
                b.store(b.call(dot, [b.load(place), own, other]), place)

    whole = b.and_(size, _LONG(-_CHUNK))
    with cgutils.for_range_slice(b, _LONG(0), whole, _LONG(_CHUNK), _LONG) as (at, _):
        add(at, True)
    with b.if_then(b.icmp_signed("<", whole, size)):
        add(whole, False)


def _write_block(b: Any, sums: Sequence[Any], added: Sequence[Any], out: Sequence[Any]) -> None:
    """Write the 16 sums plus the values at `added` (address 0: none), rounded once."""

    def fold(x: Any, y: Any, near: Sequence[int], far: Sequence[int]) -> Any:
        return b.fadd(b.shuffle_vector(x, y, _order(near)), b.shuffle_vector(x, y, _order(far)))

    total, order = _reduce([b.load(place) for place in sums], fold)
    whole = b.alloca(_SUMS)
    b.store(b.shuffle_vector(total, total, _order(order)), whole)
    with b.if_then(b.icmp_signed("!=", added[0], _LONG(0))):
        fours = ir.Constant(_FOURS, [ir.Constant(_LONG, 0)] * SIDE)
        for n, row in enumerate(added):
            four = b.load(b.inttoptr(row, _LONG.as_pointer()), align=2)
            fours = b.insert_element(fours, four, _INT(n))
        more = b.fpext(b.bitcast(fours, _ROUNDED), _SUMS)
        b.store(b.fadd(b.load(whole), more), whole)
    rounded = b.bitcast(b.fptrunc(b.load(whole), _ROUNDED), _FOURS)
    for n, row in enumerate(out):
        b.store(b.extract_element(rounded, _INT(n)), b.inttoptr(row, _LONG.as_pointer()), align=2)


def _define_once(module: Any, name: str, count: int, write: Any) -> Any:
    """Return the LLVM module's function `name`; define it with `count` int64 on first use."""
    made = module.globals.get(name)
    if made is None:
        made = ir.Function(module, ir.FunctionType(ir.VoidType(), [_LONG] * count), name)
        made.linkage = "internal"
        b = ir.IRBuilder(made.append_basic_block())
        write(b, *made.args)
        b.ret_void()
    return made


def _zeros(b: Any, count: int) -> list[Any]:
    zero = ir.Constant(_SUMS, [ir.Constant(_FLOAT, 0.0)] * 16)
    return [cgutils.alloca_once_value(b, zero) for _ in range(count)]


def _block(b: Any, *given: Any) -> None:
    x, x_row, w, w_row, size, y, y_row, v, v_row, more, add, add_row, out, out_row, last = given
    sums = _zeros(b, 16)
    all_ = _LONG(SIDE)
    _add_row_products(b, sums, (_rows(b, x, x_row, last), _rows(b, w, w_row, all_)), size)
    _add_row_products(b, sums, (_rows(b, y, y_row, last), _rows(b, v, v_row, all_)), more)
    _write_block(b, sums, _rows(b, add, add_row, last), _rows(b, out, out_row, last))


def _pairs(b: Any, near: Any, far: Any) -> list[Any]:
    """Return two rows of 32 numbers interleaved into pairs by column: two vectors of 16 pairs."""
    interleaved = []
    for half in (0, 4):  # in the order of the unpack instruction: four columns of every eight
        lanes = [8 * part + half + k for part in range(4) for k in range(4)]
        interleaved.append(
            b.shuffle_vector(near, far, _order([n for k in lanes for n in (k, 32 + k)]))
        )
    return interleaved


def _broadcast_pair(b: Any, at: Any, whole: bool) -> Any:
    """Return the two bf16 at an address in 16 lanes each; unless `whole`, the first one and 0."""
    if whole:
        two = b.load(b.inttoptr(at, _INT.as_pointer()), align=2)
    else:
        one = b.load(b.inttoptr(at, ir.IntType(16).as_pointer()), align=2)
        two = b.zext(one, _INT)
    lane = ir.Constant(ir.VectorType(_INT, 16), ir.Undefined)
    lane = b.insert_element(lane, two, _INT(0))
    return b.bitcast(b.shuffle_vector(lane, lane, _order([0] * 16)), _PAIRS)


def _add_pair_products(
    b: Any, sums: Sequence[Any], sides: Any, rows: Any, ahead: Any = None
) -> None:
    """Add 32 columns of x w, for each row of x, to the sums: two vectors of 16 for a row.

    `sides` are w's address, its row stride and its number of rows. Each row of w is prefetched
    `ahead` bytes further on.
    """
    w, w_row, count = sides
    dot = _declare(b.module, ir.FunctionType(_SUMS, [_SUMS, _PAIRS, _PAIRS]), _DOT)

    def add_up(number: Any, whole: bool) -> None:
        at = b.add(w, b.mul(number, w_row))
        near = b.load(b.inttoptr(at, _PAIRS.as_pointer()), align=2)
        far = near
        if whole:
            far = b.load(b.inttoptr(b.add(at, w_row), _PAIRS.as_pointer()), align=2)
        for line in [at, b.add(at, w_row)] if ahead else ():
            _prefetch(b, b.add(line, ahead))
        pairs = _pairs(b, near, far)
        for m, row in enumerate(rows):
            two = _broadcast_pair(b, b.add(row, b.mul(number, _LONG(2))), whole)
            for n, side in enumerate(pairs):
                place = sums[2 * m + n]
                b.store(b.call(dot, [b.load(place), two, side]), place)

    even = b.and_(count, _LONG(-2))
    with cgutils.for_range_slice(b, _LONG(0), even, _LONG(2), _LONG) as (number, _):
        add_up(number, True)
    with b.if_then(b.icmp_signed("<", even, count)):
        add_up(even, False)


def _in_column_order(b: Any, sums: Sequence[Any]) -> list[Any]:
    """Return a vector of each row's 32 sums in column order."""
    straight = _order([(k // 8 * 4 + k % 4) + 16 * (k % 8 // 4) for k in range(32)])
    pairs = zip(sums[::2], sums[1::2], strict=True)
    return [b.shuffle_vector(b.load(near), b.load(far), straight) for near, far in pairs]


def _strip(b: Any, *given: Any) -> None:
    x, x_row, w, w_row, count, y, y_row, v, v_row, more, add, add_row, out, out_row, last = given
    total, sums = b.alloca(_WIDE), _zeros(b, 2 * TALL)
    _add_pair_products(b, sums, (w, w_row, count), _rows(b, x, x_row, last, TALL))
    _add_pair_products(b, sums, (v, v_row, more), _rows(b, y, y_row, last, TALL))
    totals = _in_column_order(b, sums)
    places = zip(
        _rows(b, add, add_row, last, TALL), _rows(b, out, out_row, last, TALL), strict=True
    )
    for m, (more, to) in enumerate(places):
        b.store(totals[m], total)
        with b.if_then(b.icmp_signed("!=", add, _LONG(0))):
            held = b.load(b.inttoptr(more, _PAIRS.as_pointer()), align=2)
            b.store(b.fadd(totals[m], b.fpext(held, _WIDE)), total)
        done = b.fptrunc(b.load(total), _PAIRS)
        # a clamped row must not be written again: `add` may be `out`
        with b.if_then(b.icmp_signed("<=", _LONG(m), last)):
            b.store(done, b.inttoptr(to, _PAIRS.as_pointer()), align=2)


def _add_tile(b: Any, count: int, given: Sequence[Any], ahead: Any = None) -> None:
    x, x_row, w, w_row, size, out, out_row, last = given
    sums = _zeros(b, 2 * count)
    _add_pair_products(b, sums, (w, w_row, size), _rows(b, x, x_row, last, count), ahead)
    rows = [b.inttoptr(to, _WIDE.as_pointer()) for to in _rows(b, out, out_row, last, count)]
    # read all before writing: clamped rows share an address
    held = [b.load(to, align=4) for to in rows]
    for to, more, total in zip(rows, held, _in_column_order(b, sums), strict=True):
        b.store(b.fadd(more, total), to, align=4)


def _few_rows_tile(b: Any, *given: Any) -> None:
    _add_tile(b, FEW, given[:-1], given[-1])


def _tall_tile(b: Any, *given: Any) -> None:
    _add_tile(b, TALL, given)


def operation(write: Any) -> Any:
    """Return a numba intrinsic whose LLVM code `write` emits."""
    done: Any = intrinsic(write)  # compiled code calls it without the context argument
    return done


@operation
def block(context: Any, given: Any) -> Any:  # noqa: ARG001
    """In compiled code: write a SIDE × SIDE tile of x wᵀ + y vᵀ + add, bf16, summed in fp32.

    `given` are addresses and row strides in bytes: x, its stride, w, its stride, the bytes of a row
    to multiply (a multiple of 32); y, its stride, v, its stride, bytes of a row (0: none); add (0:
    none), its stride; out, its stride; and the index of x's last row, to which later rows are
    clamped.
    """

    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        b.call(_define_once(b.module, _NAME, 15, _block), cgutils.unpack_tuple(b, values[0], 15))
        return context.get_dummy_value()

    return types.void(given), write


@operation
def strip(context: Any, given: Any) -> Any:  # noqa: ARG001
    """In compiled code: write a TALL × WIDE tile of x w + y v + add, bf16, summed in fp32.

    `given` are addresses and row strides in bytes: x, its stride, w, its stride, the rows of w; y,
    its stride, v, its stride, the rows of v (0: none); add (0: none), its stride; out, its stride;
    and the index of x's last row.
    """

    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        b.call(_define_once(b.module, _STRIP, 15, _strip), cgutils.unpack_tuple(b, values[0], 15))
        return context.get_dummy_value()

    return types.void(given), write


@operation
def add_few_rows(context: Any, given: Any) -> Any:  # noqa: ARG001
    """In compiled code: add a FEW × WIDE tile of x w, of bf16 numbers, to fp32 sums in `out`.

    `given` as for `strip`, without y, v and add; then the prefetch distance in bytes behind each
    row of w.
    """

    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        b.call(
            _define_once(b.module, _FEW, 9, _few_rows_tile), cgutils.unpack_tuple(b, values[0], 9)
        )
        return context.get_dummy_value()

    return types.void(given), write


@operation
def add_tall_tile(context: Any, given: Any) -> Any:  # noqa: ARG001
    """In compiled code: add a TALL × WIDE tile of x w, of bf16 numbers, to fp32 sums in `out`.

    `given` as for `strip`, without y, v and add.
    """

    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        b.call(_define_once(b.module, _TALL, 8, _tall_tile), cgutils.unpack_tuple(b, values[0], 8))
        return context.get_dummy_value()

    return types.void(given), write


def _pointer(kind: Any) -> Any:
    """Return an intrinsic that casts an int64 address to a pointer to `kind`."""

    to = types.CPointer(kind)

    def write(context: Any, at: Any) -> Any:  # noqa: ARG001
        return to(types.int64), lambda context, b, sig, values: b.inttoptr(
            values[0], context.get_value_type(to)
        )

    return operation(write)


halves, longs = _pointer(types.uint16), _pointer(types.int64)
singles, doubles = _pointer(types.float32), _pointer(types.float64)


def _prefetch(b: Any, at: Any) -> None:
    place = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [place, _INT, _INT, _INT])
    prefetch = _declare(b.module, kind, "llvm.prefetch.p0")
    b.call(prefetch, [b.inttoptr(at, place), _INT(0), _INT(2), _INT(1)])


@operation
def prefetch_line(context: Any, at: Any) -> Any:  # noqa: ARG001
    """In compiled code: prefetch the 64 bytes at an address, which may be invalid."""

    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        _prefetch(b, values[0])
        return context.get_dummy_value()

    return types.void(types.int64), write
