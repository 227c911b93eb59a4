"""A training step written down once: its calls in their order, on memory that stays.

In a step of a few rows, putting the calls together (views, shapes, fresh memory) took as long as
making them (FINDINGS). Steps of the same shape differ in their numbers alone, so the calls are put
together once and made again. Knows no layer and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

_CHUNK = 1 << 26  # bytes of memory that an arena takes at once


class Arena:
    """Memory taken once and used again in every step: fresh pages cost time."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.at = (0, 0)

    def take(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return an uninitialised tensor, good until the arena is reset before this point."""
        count, strides = 1, []
        for side in reversed(shape):
            strides.append(count)
            count *= side
        size = -(-count * dtype.itemsize // 64) * 64
        chunk, start = self.at
        if chunk >= len(self.chunks) or start + size > len(self.chunks[chunk]):
            chunk, start = (chunk + 1 if start else chunk), 0
            while chunk < len(self.chunks) and size > len(self.chunks[chunk]):
                chunk += 1
            if chunk >= len(self.chunks):
                self.chunks.append(torch.empty(max(_CHUNK, size), dtype=torch.uint8))
        self.at = (chunk, start + size)
        flat = self.chunks[chunk].view(dtype)
        return flat.as_strided(shape, strides[::-1], start // dtype.itemsize)


@dataclass
class Span:
    """Rows that attend alike: the shared prompt (one row), or the rows that look back on it.

    `skipped` tokens of the prompt stand before each row. `at` are their places among the N tokens.
    Of those, row r is starts[r] to starts[r + 1], `length` at most. `held` by layer: keys, values,
    turned queries and attention weights.
    """

    rows: int
    length: int
    skipped: int
    at: slice
    angles: tuple[Any, Any]
    starts: Any
    held: list[dict[str, Any]] = field(default_factory=list)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Return what makes the calls of two spans the same."""
        return self.rows, self.length, self.skipped, self.at.stop

    def aim(self, other: Span) -> None:
        """Take another span's places, of the same shape."""
        self.starts[:] = other.starts


class Writer:
    """Calls in their order, and the memory that they work on.

    `memory` holds what the backward pass needs; `brief`, what one layer needs.
    """

    def __init__(self, memory: Arena, brief: Arena) -> None:
        self.memory, self.brief = memory, brief
        self.calls: list[Any] = []

    def do(self, call: Any, *given: Any, **named: Any) -> None:
        """Write a call down."""
        self.calls.append(partial(call, *given, **named))

    def take(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return memory that is good until the step is over."""
        return self.memory.take(shape, dtype)

    def lend(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return memory that is good until the layer is over."""
        return self.brief.take(shape, dtype)

    def lent(self, like: Any) -> Any:
        """Return memory of a tensor's shape that is good until the layer is over."""
        return self.brief.take(like.shape, like.dtype)

    def flat(self, heads: Any) -> Any:
        """Return heads [rows, kept, group, length, width] as [rows · kept, ..., width]."""
        if not heads.is_contiguous():
            heads, given = self.lent(heads), heads
            self.do(heads.copy_, given)
        return heads.flatten(2, 3).flatten(0, 1)

    def product(self, left: Any, right: Any, out: Any, more: bool = False) -> None:
        """Write the products of matrices into heads, or add them (`more`)."""
        straight = out.is_contiguous() and not more
        to = out if straight else self.lent(out)
        self.do(torch.bmm, left, right, out=to.view(len(left), -1, to.shape[-1]))
        if not straight:
            self.do(out.add_ if more else out.copy_, to)


class Tape(Writer):
    """The calls of one forward pass and of its backward pass, for spans of one shape.

    The shared prompt, if any, is the first span. `x` [N, hidden] is what goes in, `out` [asked,
    hidden] what comes out of the tokens `asked` for, `dx` the gradient of that. `layers` is what
    each layer left for its gradient, up to `end` of `memory`. `share` makes lists of calls at once,
    as many as there are `briefs`.
    """

    def __init__(
        self,
        spans: list[Span],
        asked: Any,
        memory: Arena,
        briefs: Sequence[Arena],
        share: Callable[..., None],
    ) -> None:
        super().__init__(memory, briefs[0])
        self.spans, self.asked, self.briefs, self.share = spans, asked, briefs, share
        self.there, self.back = self.calls, list[Any]()
        self.layers: list[dict[str, Any]] = []
        self.x: Any = None
        self.out: Any = None
        self.end = (0, 0)
        self.dx: Any = None

    @property
    def shape(self) -> tuple[Any, ...]:
        """Return what makes the calls of two tapes the same."""
        return (len(self.briefs), len(self.asked), *(span.shape for span in self.spans))

    @property
    def tokens(self) -> int:
        """Return how many tokens are read, N."""
        return int(self.spans[-1].at.stop)

    def aim(self, other: Tape) -> None:
        """Take another tape's places, of the same shape."""
        self.asked.copy_(other.asked)
        for span, new in zip(self.spans, other.spans, strict=True):
            span.aim(new)

    def turn(self, dx: Any) -> None:
        """Write the backward pass from now on, from the gradient of the output."""
        self.dx, self.calls = dx, self.back

    def apart(self, count: int) -> Iterator[tuple[Writer, slice]]:
        """Yield writers whose calls are made at once, and what of `count` things is the share of
        each. What others than the first are lent is theirs until the next time.
        """
        sides = min(count, len(self.briefs))
        if sides == 1:
            yield self, slice(0, count)
            return
        writers = [Writer(self.memory, brief) for brief in self.briefs[:sides]]
        self.do(self.share, [writer.calls for writer in writers])
        for n, writer in enumerate(writers):
            if n:
                writer.brief.at = (0, 0)
            yield writer, slice(n * count // sides, (n + 1) * count // sides)
