"""A recorded training step: its calls in order, on preallocated memory.

In a step of a few rows, preparing the calls (views, shapes, allocations) took as long as making
them. Steps of the same shape differ only in their numbers, so the calls are recorded once and
replayed. Knows no layer and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

_CHUNK = 1 << 26  # bytes that an arena allocates at once


class Arena:
    """Memory that is allocated once and reused in every step, because new pages cost time."""

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

    `skipped` prompt tokens precede each row. `at` is the span's slice of the N tokens; in it, row r
    is starts[r] to starts[r + 1], at most `length` long. `held` has each layer's keys, values,
    rotated queries and attention weights.
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
        """Return the key of the recorded calls: spans with equal keys have the same calls."""
        return self.rows, self.length, self.skipped, self.at.stop

    def copy_positions(self, other: Span) -> None:
        """Copy the row offsets of a span with the same shape."""
        self.starts[:] = other.starts


class Recorder:
    """Records calls, and hands out the memory that they work on.

    `memory` lasts until the backward pass, `brief` until the end of a layer.
    """

    def __init__(self, memory: Arena, brief: Arena) -> None:
        self.memory, self.brief = memory, brief
        self.calls: list[Any] = []

    def do(self, call: Any, *given: Any, **named: Any) -> None:
        """Record a call."""
        self.calls.append(partial(call, *given, **named))

    def take(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return an uninitialised tensor that is valid until the end of the step."""
        return self.memory.take(shape, dtype)

    def take_brief(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return an uninitialised tensor that is valid until the end of the layer."""
        return self.brief.take(shape, dtype)

    def take_brief_like(self, like: Any) -> Any:
        """Return an uninitialised tensor shaped like `like`, valid until the end of the layer."""
        return self.brief.take(like.shape, like.dtype)

    def flat(self, heads: Any) -> Any:
        """Return [rows, KV heads, group, length, width] as [rows · KV heads, ..., width]."""
        if not heads.is_contiguous():
            heads, given = self.take_brief_like(heads), heads
            self.do(heads.copy_, given)
        return heads.flatten(2, 3).flatten(0, 1)

    def product(self, left: Any, right: Any, out: Any, more: bool = False) -> None:
        """Record writing the batched product left · right to `out`, or adding it (`more`)."""
        straight = out.is_contiguous() and not more
        to = out if straight else self.take_brief_like(out)
        self.do(torch.bmm, left, right, out=to.view(len(left), -1, to.shape[-1]))
        if not straight:
            self.do(out.add_ if more else out.copy_, to)


class RecordedStep(Recorder):
    """The recorded forward and backward calls of a step, for spans of one shape.

    The shared prompt, if any, is the first span. `x` [N, hidden] is the input, `out` [M, hidden]
    the output at the M `output_positions`, `dx` its gradient. `layers` are the tensors that each
    layer stores for its gradient, up to `end` of `memory`. `share` runs lists of calls in parallel,
    as many as there are `briefs`.
    """

    def __init__(
        self,
        spans: list[Span],
        output_positions: Any,
        memory: Arena,
        briefs: Sequence[Arena],
        share: Callable[..., None],
    ) -> None:
        super().__init__(memory, briefs[0])
        self.spans, self.output_positions, self.briefs, self.share = (
            spans,
            output_positions,
            briefs,
            share,
        )
        self.forward_calls, self.backward_calls = self.calls, list[Any]()
        self.layers: list[dict[str, Any]] = []
        self.x: Any = None
        self.out: Any = None
        self.end = (0, 0)
        self.dx: Any = None

    @property
    def shape(self) -> tuple[Any, ...]:
        """Return the key of the recorded calls: steps with equal keys have the same calls."""
        return (len(self.briefs), len(self.output_positions), *(span.shape for span in self.spans))

    @property
    def tokens(self) -> int:
        """Return N, the number of tokens read."""
        return int(self.spans[-1].at.stop)

    def copy_positions(self, other: RecordedStep) -> None:
        """Copy the token positions of a step with the same shape."""
        self.output_positions.copy_(other.output_positions)
        for span, new in zip(self.spans, other.spans, strict=True):
            span.copy_positions(new)

    def start_backward(self, dx: Any) -> None:
        """Record later calls as the backward pass; `dx` is the output's gradient."""
        self.dx, self.calls = dx, self.backward_calls

    def split(self, count: int) -> Iterator[tuple[Recorder, slice]]:
        """Yield recorders whose calls run in parallel, each with its slice of `count` items.

        Brief memory of all but the first is valid until the next use of `split`.
        """
        sides = min(count, len(self.briefs))
        if sides == 1:
            yield self, slice(0, count)
            return
        recorders = [Recorder(self.memory, brief) for brief in self.briefs[:sides]]
        self.do(self.share, [recorder.calls for recorder in recorders])
        for n, recorder in enumerate(recorders):
            if n:
                recorder.brief.at = (0, 0)
            yield recorder, slice(n * count // sides, (n + 1) * count // sides)
