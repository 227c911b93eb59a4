"""A thread pool whose workers busy-wait for parts of a GEMM, which can take microseconds only.

Python's or torch's threads take as long to wake as a product of few rows takes. Here the workers
poll shared memory for work in a compiled loop while a `ThreadPool` is entered. Knows no model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from threading import Lock, Thread
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import overload, register_jitable

from tuneworthy_cpu.compiled import as_array, call_now, compiled
from tuneworthy_cpu.gemm.products import (
    address,
    blocks,
    gemm_supports,
    operand_array,
    operand_table,
    own_gemm_available,
    strips,
)
from tuneworthy_cpu.gemm.tiles import SIDE, WIDE, operation

# Indices of the shared counters; the first are in separate cache lines. _WORK packs the number of
# parts (from bit 32) and of those taken, so that no part of finished work can be taken.
_WORK, _HOME, _DONE, _HELPERS, _KIND, _COLUMNS, _PART, _GIVEN = 0, 1, 8, 16, 17, 18, 19, 24
_ROUNDS, _BACK = 2, 9  # rounds of Python calls started; workers that have finished the round
_BLOCKS, _STRIPS = 1, 2
_LOST, _WAITED = 8, 9  # at barriers: a thread has failed; times that thread 0 yielded
# above _MUCH yields in a call other programs are busy: the next _REST calls run on one thread
_MUCH, _REST = 500, 16
_PARTS_PER_THREAD = 2  # parts per thread: a slow or descheduled one leaves more to the others
_POLLS_BEFORE_YIELD = 1 << 12  # polls before a thread yields its core
_yield: Any = types.ExternalFunction("sched_yield", types.int32())


def _address_pointer(at: Any, b: Any) -> Any:
    return b.inttoptr(at, ir.IntType(64).as_pointer())


@operation
def _load_counter(context: Any, at: Any) -> Any:  # noqa: ARG001
    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        return b.load_atomic(_address_pointer(values[0], b), "acquire", 8)

    return types.int64(types.int64), write


@operation
def _store_counter(context: Any, at: Any, value: Any) -> Any:  # noqa: ARG001
    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        b.store_atomic(values[1], _address_pointer(values[0], b), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), write


@operation
def _increment(context: Any, at: Any) -> Any:  # noqa: ARG001
    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        return b.atomic_rmw("add", _address_pointer(values[0], b), ir.IntType(64)(1), "acq_rel")

    return types.int64(types.int64), write


@operation
def _pause(context: Any) -> Any:  # noqa: ARG001
    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        kind, name = ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
        b.call(b.module.globals.get(name) or ir.Function(b.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), write


@register_jitable
def _spin(polls: Any) -> Any:
    _pause()
    if polls > _POLLS_BEFORE_YIELD:
        _yield()
    return polls + 1


def wait_at_barrier(side: Any, number: Any) -> None:
    """In compiled code: wait at the number-th barrier of the threads of `run_on_threads`."""


@overload(wait_at_barrier, strict=False)
def _wait_at_barrier_of(side: Any, number: Any) -> Any:  # noqa: ARG001
    def wait(side: Any, number: Any) -> None:
        board, me, all_ = side
        if all_ > 1:
            at, polls = address(board), 0
            _increment(at)
            while _load_counter(at) < (number + 1) * all_ and not _load_counter(at + 8 * _LOST):
                polls = _spin(polls)
            if me == 0 and polls > _POLLS_BEFORE_YIELD:
                board[_WAITED] += polls - _POLLS_BEFORE_YIELD

    def alone(side: Any, number: Any) -> None:
        pass

    # other processors may lack the pause instruction
    return wait if own_gemm_available() else alone


@register_jitable
def _compute_part(board: Any) -> Any:
    """Compute one part of the current product; return False if none was left."""
    at = address(board)
    work = _increment(at + 8 * _WORK)
    number, parts = work & 0xFFFFFFFF, work >> 32
    if number >= parts:
        return False
    columns, part, given = board[_COLUMNS], board[_PART], at + 8 * _GIVEN
    start, end = number * part, min((number + 1) * part, columns)
    if board[_KIND] == _BLOCKS:
        blocks(given, start, end)
    else:
        strips(given, start, end)
    _increment(at + 8 * _DONE)
    return True


@compiled
def _run_worker(board: Any, calls: int) -> Any:
    """Compute parts until a round of Python calls starts; return False if the pool is closed."""
    at, polls = address(board) + 8 * _WORK, 0
    while not _load_counter(at + 8 * _HOME):
        if _load_counter(at + 8 * _ROUNDS) > calls:
            return True
        work = _load_counter(at)
        if work & 0xFFFFFFFF < work >> 32:
            _compute_part(board)
            polls = 0
        else:
            polls = _spin(polls)
    return False


@compiled
def _start_calls(board: Any) -> None:
    at = address(board)
    _store_counter(at + 8 * _BACK, 0)
    _increment(at + 8 * _ROUNDS)


@compiled
def _finish_calls(board: Any) -> None:
    _increment(address(board) + 8 * _BACK)


@compiled
def _wait_calls(board: Any) -> None:
    at, polls = address(board), 0
    while _load_counter(at + 8 * _BACK) != board[_HELPERS]:
        polls = _spin(polls)


@register_jitable
def _part_blocks(count: Any, threads: Any) -> Any:
    """Return the number of blocks in a part of `count` blocks: few parts, similar shares."""
    part = most = -(-count // (_PARTS_PER_THREAD * threads))
    longest = count
    for size in range(most, most // 2, -1):
        turns = -(-count // (size * threads))
        if turns * size < longest:
            part, longest = size, turns * size
        if longest * threads < count + threads:
            break
    return part


@register_jitable
def _share_product(board: Any, kind: int, columns: int, given: Any) -> None:
    at, grain = address(board), SIDE if kind == _BLOCKS else WIDE
    for k in range(len(given)):
        board[_GIVEN + k] = given[k]
    part = _part_blocks(-(-columns // grain), board[_HELPERS] + 1) * grain
    parts = -(-columns // part)
    board[_KIND], board[_COLUMNS], board[_PART] = kind, columns, part
    _store_counter(at + 8 * _DONE, 0)
    _store_counter(at + 8 * _WORK, parts << 32)
    while _compute_part(board):
        pass
    polls = 0
    while _load_counter(at + 8 * _DONE) != parts:
        polls = _spin(polls)


@compiled
def _product(board: Any, x: Any, w: Any, low: Any, add: Any, out: Any) -> None:
    if board[_HELPERS]:
        _share_product(board, _BLOCKS, len(w), operand_table(x, w, low[0], low[1], add, out))
    else:  # no shared counters: other threads may use this instance at the same time
        operands = operand_array(x, w, low, add, out)
        blocks(address(operands), 0, len(w))


@compiled
def _plain_product(board: Any, x: Any, w: Any, low: Any, add: Any, out: Any) -> None:
    if board[_HELPERS]:
        _share_product(board, _STRIPS, w.shape[1], operand_table(x, w, low[0], low[1], add, out))
    else:
        operands = operand_array(x, w, low, add, out)
        strips(address(operands), 0, w.shape[1])


class ThreadPool:
    """The calling thread and its workers, which share products inside `with`.

    torch's own threads are set to 1 meanwhile: they would take the workers' cores. One thread at a
    time may enter; outside of `with`, the calling thread computes alone.
    """

    def __init__(self) -> None:
        self.board = np.zeros(64, np.int64)
        self.helpers: list[Thread] = []
        self.threads = 1
        self.lists: Sequence[Sequence[Callable[[], Any]]] = ()
        self.fault: Exception | None = None

    def __enter__(self) -> ThreadPool:
        """Start workers if the own GEMM is available: one less than torch has threads."""
        self.threads = torch.get_num_threads()
        count = self.threads - 1 if own_gemm_available() else 0
        self.board[:] = 0
        self.board[_HELPERS] = count
        self.helpers = [
            Thread(target=self._help, args=(number,), daemon=True) for number in range(count)
        ]
        for helper in self.helpers:
            helper.start()
        torch.set_num_threads(1)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the workers."""
        _close(self.board)
        for helper in self.helpers:
            helper.join()
        self.board[_HELPERS] = 0
        torch.set_num_threads(self.threads)

    def share(self, lists: Sequence[Sequence[Callable[[], Any]]]) -> None:
        """Call the functions of each list in order, the lists in parallel.

        The calling thread takes the lists without a worker. No function may use the pool itself.
        """
        count = int(self.board[_HELPERS])
        self.lists, own = lists[1 : count + 1], [*lists[:1], *lists[count + 1 :]]
        if self.lists:
            _start_calls(self.board)
        try:
            run(chain(*own))
        finally:
            if self.lists:
                _wait_calls(self.board)
            fault, self.fault, self.lists = self.fault, None, ()  # the calls keep memory alive
        if fault is not None:
            raise fault

    def _help(self, number: int) -> None:
        torch.set_num_threads(1)  # applies to this thread: the pool already uses all cores
        rounds = 0
        while _run_worker(self.board, rounds):
            rounds += 1
            try:
                run(chain(*self.lists[number : number + 1]))
            except Exception as fault:
                self.fault = fault
            finally:
                _finish_calls(self.board)

    def product(
        self, x: Any, weight: Any, low: Any = None, add: Any = None, into: Any = (None, call_now)
    ) -> Any:
        """Return x weightᵀ + y vᵀ + add, [N, out], bf16, each sum rounded once.

        `low` is (y, v), [N, ranks] and [out, ranks] with a multiple of GRAIN ranks, or None; `add`
        [N, out], or [1, out] for every row, or None. `into`: the output or None, which may be
        `add`; and the function that makes the call at once or records it. The weight must fit; each
        row must be contiguous, with any row stride.
        """
        out, do = into
        out = x.new_empty(len(x), len(weight)) if out is None else out
        none = x.new_empty(0, 0)
        _check_shapes(x, weight.mT, out, gemm_supports(weight))
        y, v = map(as_array, low or (none, none))
        more = as_array(none if add is None else add)
        do(_product, self.board, as_array(x), as_array(weight), (y, v), more, as_array(out))
        return out

    def untransposed_product(
        self, x: Any, weight: Any, low: Any = None, add: Any = None, into: Any = (None, call_now)
    ) -> Any:
        """Return x weight + y v + add, [N, in], bf16, each sum rounded once.

        For x [N, out] and weight [out, in] of whole WIDEs; `low` is (y, v), [N, ranks] and [ranks,
        in], or None; `add` and `into` as for `product`.
        """
        out, do = into
        out = x.new_empty(len(x), weight.shape[1]) if out is None else out
        none = x.new_empty(0, 0)
        _check_shapes(x, weight, out, weight.shape[1] % WIDE == 0)
        y, v = map(as_array, low or (none, none))
        more = as_array(none if add is None else add)
        do(_plain_product, self.board, as_array(x), as_array(weight), (y, v), more, as_array(out))
        return out


def run(calls: Iterable[Callable[[], Any]]) -> None:
    """Call each function of `calls`, one after the other."""
    for call in calls:
        call()


def _check_shapes(x: Any, weight: Any, out: Any, whole: bool) -> None:
    """Raise ValueError for shapes that would be read or written out of bounds, or not bf16."""
    same = (*x.shape, *out.shape) == (len(x), len(weight), len(x), weight.shape[1])
    if not same or not whole or any(side.dtype != torch.bfloat16 for side in (x, weight, out)):
        raise ValueError(f"no bf16 product of {x.shape} and {weight.shape} into {out.shape}")


@compiled
def _close(board: Any) -> None:
    _store_counter(address(board) + 8 * _HOME, 1)


class _Helpers:
    """Threads that sleep between calls; two calls at a time could deadlock, so `turn` is locked."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Create lock and threads, again after a fork: a child process has none of its parent's."""
        self.turn, self.alone = Lock(), 0
        self.pool = cache(lambda count: ThreadPoolExecutor(count, "step"))

    def call(self, threads: int, work: Callable[[Any, int, int], None]) -> None:
        board = np.zeros(16, np.int64)

        def helped(number: int) -> None:
            try:
                work(board, number, threads)
            except BaseException:
                board[_LOST] = 1
                raise

        try:
            helping = [self.pool(threads - 1).submit(helped, k) for k in range(1, threads)]
            work(board, 0, threads)
            for helper in helping:
                helper.result()
        finally:
            board[_LOST] = 1
        self.alone = _REST * int(board[_WAITED] > _MUCH)


_helpers = _Helpers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.begin)


def run_on_threads(threads: int, work: Callable[[Any, int, int], None]) -> None:
    """Call work(counters, number, total) on `threads` threads, which meet at `wait_at_barrier`.

    The calling thread works alone where the own GEMM is not used, while the workers are busy with
    another call, and for some calls after one that waited long: another program then uses a core,
    and one thread is faster.
    """
    if threads > 1 and own_gemm_available() and _helpers.turn.acquire(blocking=False):
        try:
            if not _helpers.alone:
                return _helpers.call(threads, work)
            _helpers.alone -= 1
        finally:
            _helpers.turn.release()
    return work(np.zeros(1, np.int64), 0, 1)


SERIAL = ThreadPool()  # never entered: computes products on the calling thread
