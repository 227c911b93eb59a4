"""Products shared out over threads that wait for them: a product of a few rows takes microseconds.

Threads of Python, or of torch, take as long to wake as such a product takes. Here helpers wait in a
compiled loop that asks memory whether there is work, for as long as a `Team` is at it. Knows no
model and no layer.
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
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import overload, register_jitable

from tuneworthy.models._blocks import SIDE, WIDE, operation
from tuneworthy.models._compiled import bits, compiled, now
from tuneworthy.models._products import able, address, blocks, described, fits, noted, strips

# Places on the board, the first in cache lines of their own. _WORK says in one number how many
# parts there are (from bit 32) and how many are taken, so that none is taken of work that is over.
_WORK, _HOME, _DONE, _HELPERS, _KIND, _COLUMNS, _PART, _GIVEN = 0, 1, 8, 16, 17, 18, 19, 24
_ASKED, _BACK = 2, 9  # times that helpers were asked to make calls; those that are back from it
_BLOCKS, _STRIPS = 1, 2
_LOST, _WAITED = 8, 9  # of threads that meet: one will not come; times that others were let through
_MUCH, _REST = 500, 16  # so many in one call: others are at work here, and some calls go alone
_TURNS = 2  # parts for each thread: who is slower, or is not let through, leaves more to the others
_PATIENCE = 1 << 12  # times that the board is asked before others are let through
_yield: Any = types.ExternalFunction("sched_yield", types.int32())


def _place(at: Any, b: Any) -> Any:
    return b.inttoptr(at, ir.IntType(64).as_pointer())


@operation
def _read(context: Any, at: Any) -> Any:  # noqa: ARG001
    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        return b.load_atomic(_place(values[0], b), "acquire", 8)

    return types.int64(types.int64), write


@operation
def _tell(context: Any, at: Any, value: Any) -> Any:  # noqa: ARG001
    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        b.store_atomic(values[1], _place(values[0], b), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), write


@operation
def _count(context: Any, at: Any) -> Any:  # noqa: ARG001
    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        return b.atomic_rmw("add", _place(values[0], b), ir.IntType(64)(1), "acq_rel")

    return types.int64(types.int64), write


@operation
def _pause(context: Any) -> Any:  # noqa: ARG001
    def write(context: Any, b: Any, sig: Any, values: Any) -> Any:  # noqa: ARG001
        kind, name = ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
        b.call(b.module.globals.get(name) or ir.Function(b.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), write


@register_jitable
def _rest(asked: Any) -> Any:
    _pause()
    if asked > _PATIENCE:
        _yield()
    return asked + 1


def meet(side: Any, number: Any) -> None:
    """In a loop of several threads (`together`): wait until all are here, the number-th time."""


@overload(meet, strict=False)
def _meet_of(side: Any, number: Any) -> Any:  # noqa: ARG001
    def wait(side: Any, number: Any) -> None:
        board, me, all_ = side
        if all_ > 1:
            at, asked = address(board), 0
            _count(at)
            while _read(at) < (number + 1) * all_ and not _read(at + 8 * _LOST):
                asked = _rest(asked)
            if me == 0 and asked > _PATIENCE:
                board[_WAITED] += asked - _PATIENCE

    def alone(side: Any, number: Any) -> None:
        pass

    return wait if able() else alone  # elsewhere there may be no instruction to wait with


@register_jitable
def _take(board: Any) -> Any:
    """Do one part of the work that is on the board; return whether there was one."""
    at = address(board)
    work = _count(at + 8 * _WORK)
    number, parts = work & 0xFFFFFFFF, work >> 32
    if number >= parts:
        return False
    columns, part, given = board[_COLUMNS], board[_PART], at + 8 * _GIVEN
    start, end = number * part, min((number + 1) * part, columns)
    if board[_KIND] == _BLOCKS:
        blocks(given, start, end)
    else:
        strips(given, start, end)
    _count(at + 8 * _DONE)
    return True


@compiled
def _serve(board: Any, calls: int) -> Any:
    """Take parts until more than `calls` times calls were asked for; return False to go home."""
    at, asked = address(board) + 8 * _WORK, 0
    while not _read(at + 8 * _HOME):
        if _read(at + 8 * _ASKED) > calls:
            return True
        work = _read(at)
        if work & 0xFFFFFFFF < work >> 32:
            _take(board)
            asked = 0
        else:
            asked = _rest(asked)
    return False


@compiled
def _ask(board: Any) -> None:
    at = address(board)
    _tell(at + 8 * _BACK, 0)
    _count(at + 8 * _ASKED)


@compiled
def _return(board: Any) -> None:
    _count(address(board) + 8 * _BACK)


@compiled
def _await(board: Any) -> None:
    at, asked = address(board), 0
    while _read(at + 8 * _BACK) != board[_HELPERS]:
        asked = _rest(asked)


@register_jitable
def _fair(count: Any, threads: Any) -> Any:
    """Return how many of `count` things one part is of: few parts, and no thread waits long."""
    part = most = -(-count // (_TURNS * threads))
    longest = count
    for size in range(most, most // 2, -1):
        turns = -(-count // (size * threads))
        if turns * size < longest:
            part, longest = size, turns * size
        if longest * threads < count + threads:
            break
    return part


@register_jitable
def _lead(board: Any, kind: int, columns: int, given: Any) -> None:
    at, grain = address(board), SIDE if kind == _BLOCKS else WIDE
    for k in range(len(given)):
        board[_GIVEN + k] = given[k]
    part = _fair(-(-columns // grain), board[_HELPERS] + 1) * grain
    parts = -(-columns // part)
    board[_KIND], board[_COLUMNS], board[_PART] = kind, columns, part
    _tell(at + 8 * _DONE, 0)
    _tell(at + 8 * _WORK, parts << 32)
    while _take(board):
        pass
    asked = 0
    while _read(at + 8 * _DONE) != parts:
        asked = _rest(asked)


@compiled
def _product(board: Any, x: Any, w: Any, low: Any, add: Any, out: Any) -> None:
    if board[_HELPERS]:
        _lead(board, _BLOCKS, len(w), described(x, w, low[0], low[1], add, out))
    else:  # nothing on a board: others may be at work alone too
        told = noted(x, w, low, add, out)
        blocks(address(told), 0, len(w))


@compiled
def _turned(board: Any, x: Any, w: Any, low: Any, add: Any, out: Any) -> None:
    if board[_HELPERS]:
        _lead(board, _STRIPS, w.shape[1], described(x, w, low[0], low[1], add, out))
    else:
        told = noted(x, w, low, add, out)
        strips(address(told), 0, w.shape[1])


class Team:
    """The calling thread and those that help it: `with team:` they wait for products.

    torch's own threads rest meanwhile: they would take the helpers' cores. A team is entered by
    one thread at a time; outside of `with`, the calling thread works alone.
    """

    def __init__(self) -> None:
        self.board = np.zeros(64, np.int64)
        self.helpers: list[Thread] = []
        self.threads = 1
        self.lists: Sequence[Sequence[Callable[[], Any]]] = ()
        self.fault: Exception | None = None

    def __enter__(self) -> Team:
        """Let helpers wait, one for each thread of torch but the caller's; none where not able."""
        self.threads = torch.get_num_threads()
        count = self.threads - 1 if able() else 0
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
        """Send the helpers home."""
        _dismiss(self.board)
        for helper in self.helpers:
            helper.join()
        self.board[_HELPERS] = 0
        torch.set_num_threads(self.threads)

    def share(self, lists: Sequence[Sequence[Callable[[], Any]]]) -> None:
        """Make the calls of each list in their order, the lists at once.

        What has no helper is made by the calling thread. No call may ask the team for something.
        """
        count = int(self.board[_HELPERS])
        self.lists, own = lists[1 : count + 1], [*lists[:1], *lists[count + 1 :]]
        if self.lists:
            _ask(self.board)
        try:
            run(chain(*own))
        finally:
            if self.lists:
                _await(self.board)
            fault, self.fault, self.lists = self.fault, None, ()  # calls hold memory
        if fault is not None:
            raise fault

    def _help(self, number: int) -> None:
        torch.set_num_threads(1)  # of this thread: the team has the cores
        asked = 0
        while _serve(self.board, asked):
            asked += 1
            try:
                run(chain(*self.lists[number : number + 1]))
            except Exception as fault:
                self.fault = fault
            finally:
                _return(self.board)

    def product(
        self, x: Any, weight: Any, low: Any = None, add: Any = None, into: Any = (None, now)
    ) -> Any:
        """Return x weightᵀ + y vᵀ + add, [N, out], bf16, each sum rounded once.

        `low` is (y, v), [N, ranks] and [out, ranks] of whole GRAIN ranks, or None; `add` [N, out],
        or [1, out] for every row, or None. `into`: where it is written, or None, which may be
        `add`; and what makes the call: at once, or written down. The weight must fit; rows must be
        contiguous, however far apart.
        """
        out, do = into
        out = x.new_empty(len(x), len(weight)) if out is None else out
        none = x.new_empty(0, 0)
        _agree(x, weight.mT, out, fits(weight))
        y, v = map(bits, low or (none, none))
        more = bits(none if add is None else add)
        do(_product, self.board, bits(x), bits(weight), (y, v), more, bits(out))
        return out

    def turned(
        self, x: Any, weight: Any, low: Any = None, add: Any = None, into: Any = (None, now)
    ) -> Any:
        """Return x weight + y v + add, [N, in], bf16, each sum rounded once.

        For x [N, out] and weight [out, in] of whole WIDEs; `low` is (y, v), [N, ranks] and [ranks,
        in], or None; `add` and `into` as for `product`.
        """
        out, do = into
        out = x.new_empty(len(x), weight.shape[1]) if out is None else out
        none = x.new_empty(0, 0)
        _agree(x, weight, out, weight.shape[1] % WIDE == 0)
        y, v = map(bits, low or (none, none))
        more = bits(none if add is None else add)
        do(_turned, self.board, bits(x), bits(weight), (y, v), more, bits(out))
        return out


def run(calls: Iterable[Callable[[], Any]]) -> None:
    """Make calls, one after the other."""
    for call in calls:
        call()


def _agree(x: Any, weight: Any, out: Any, whole: bool) -> None:
    """Refuse what would be read or written beside its memory."""
    same = (*x.shape, *out.shape) == (len(x), len(weight), len(x), weight.shape[1])
    if not same or not whole or any(side.dtype != torch.bfloat16 for side in (x, weight, out)):
        raise ValueError(f"no bf16 product of {x.shape} and {weight.shape} into {out.shape}")


@compiled
def _dismiss(board: Any) -> None:
    _tell(address(board) + 8 * _HOME, 1)


class _Helpers:
    """Threads that sleep between calls; one call at a time, or each could wait for the other's."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget threads: none come along into a forked process."""
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


def together(threads: int, work: Callable[[Any, int, int], None]) -> None:
    """Do work(board, number, of how many) on each of some threads at once: they may `meet`.

    On the calling thread alone where products are not taken here (`able`), while the helpers are at
    work for somebody else, and for some calls after one that waited long: another program has a
    core then, and one thread is faster.
    """
    if threads > 1 and able() and _helpers.turn.acquire(blocking=False):
        try:
            if not _helpers.alone:
                return _helpers.call(threads, work)
            _helpers.alone -= 1
        finally:
            _helpers.turn.release()
    return work(np.zeros(1, np.int64), 0, 1)


ALONE = Team()  # never entered: products on the calling thread
