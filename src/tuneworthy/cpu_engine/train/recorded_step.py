"""A recorded training step: its calls in order, on preallocated memory.

In a step of a few rows, preparing the calls (views, shapes, allocations) took as long as making
them. Steps of the same shape differ only in their numbers, so the calls are recorded
once and replayed. Knows no layer and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

_CHUNK = 1 << 26  # bytes that an arena allocates at once


class Arena:
    """Memory allocated once and reused in every step: new pages cost time."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.at = (0, 0)

    def take(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return an uninitialised tensor, valid until the arena is reset before this point."""
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
    """Rows with the same attention pattern: the shared prompt (one row), or the rows after it.

    `skipped` prompt tokens precede each row. `at` is the span's slice of the N tokens. Of those,
    row r is starts[r] to starts[r + 1], `length` at most. `held` by layer: keys, values, rotated
    queries and attention weights.
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
        """Return the shape by which the recorded calls of two spans are equal."""
        return self.rows, self.length, self.skipped, self.at.stop

    def aim(self, other: Span) -> None:
        """Copy another span's row offsets; both have the same shape."""
        self.starts[:] = other.starts


class Recorder:
    """A recorder of calls, with the memory that they work on.

    `memory` holds what the backward pass needs; `brief`, what one layer needs.
    """

    def __init__(self, memory: Arena, brief: Arena) -> None:
        self.memory, self.brief = memory, brief
        self.calls: list[Any] = []

    def do(self, call: Any, *given: Any, **named: Any) -> None:
        """Record a call."""
        self.calls.append(partial(call, *given, **named))

    def take(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return memory that is valid until the end of the step."""
        return self.memory.take(shape, dtype)

    def lend(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return memory that is valid until the end of the layer."""
        return self.brief.take(shape, dtype)

    def lent(self, like: Any) -> Any:
        """Return memory of a tensor's shape that is valid until the end of the layer."""
        return self.brief.take(like.shape, like.dtype)

    def flat(self, heads: Any) -> Any:
        """Return [rows, KV heads, group, length, width] as [rows · KV heads, ..., width]."""
        if not heads.is_contiguous():
            heads, given = self.lent(heads), heads
            self.do(heads.copy_, given)
        return heads.flatten(2, 3).flatten(0, 1)

    def product(self, left: Any, right: Any, out: Any, more: bool = False) -> None:
        """Record batched matrix products into heads, or added to them (`more`)."""
        straight = out.is_contiguous() and not more
        to = out if straight else self.lent(out)
        self.do(torch.bmm, left, right, out=to.view(len(left), -1, to.shape[-1]))
        if not straight:
            self.do(out.add_ if more else out.copy_, to)


class RecordedStep(Recorder):
    """The recorded forward and backward calls of a step, for spans of one shape.

    The shared prompt, if any, is the first span. `x` [N, hidden] is the input, `out` [asked,
    hidden] the output at the token positions `asked`, `dx` its gradient. `layers` are the tensors
    that each layer stores for its gradient, up to `end` of `memory`. `share` runs lists of calls in
    parallel, as many as there are `briefs`.
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
        """Return the shape by which the recorded calls of two tapes are equal."""
        return (len(self.briefs), len(self.asked), *(span.shape for span in self.spans))

    @property
    def tokens(self) -> int:
        """Return the number of tokens read, N."""
        return int(self.spans[-1].at.stop)

    def aim(self, other: RecordedStep) -> None:
        """Copy another tape's token positions; both have the same shape."""
        self.asked.copy_(other.asked)
        for span, new in zip(self.spans, other.spans, strict=True):
            span.aim(new)

    def turn(self, dx: Any) -> None:
        """Record the backward pass from now on, starting from the gradient of the output."""
        self.dx, self.calls = dx, self.back

    def apart(self, count: int) -> Iterator[tuple[Recorder, slice]]:
        """Yield writers whose calls run in parallel, each with its slice of `count` items.

        Memory lent by all but the first is valid until the next call.
        """
        sides = min(count, len(self.briefs))
        if sides == 1:
            yield self, slice(0, count)
            return
        writers = [Recorder(self.memory, brief) for brief in self.briefs[:sides]]
        self.do(self.share, [writer.calls for writer in writers])
        for n, writer in enumerate(writers):
            if n:
                writer.brief.at = (0, 0)
            yield writer, slice(n * count // sides, (n + 1) * count // sides)
