"""A training step written down once: its calls in their order, on memory that stays.

In a step of a few rows, putting the calls together (views, shapes, fresh memory) took as long as
making them (FINDINGS). Steps of the same shape differ in their numbers alone, so the calls are put
together once and made again. Knows no layer and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    `real` are the places of those tokens among rows · length, `back` for each of those its token
    (None: all places are read); `starts` is where each row begins among the N. `held` by
    layer: keys, values, turned queries and attention weights.
    """

    rows: int
    length: int
    skipped: int
    at: slice
    angles: tuple[Any, Any]
    starts: list[int]
    real: Any = None
    back: Any = None
    held: list[dict[str, Any]] = field(default_factory=list)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Return what makes the calls of two spans the same."""
        return self.rows, self.length, self.skipped, self.at.stop, self.real is None

    def aim(self, other: Span) -> None:
        """Take another span's places, of the same shape."""
        self.starts = other.starts
        if self.real is not None:
            self.real.copy_(other.real)
            self.back.copy_(other.back)


@dataclass
class Tape:
    """The calls of one forward pass and of its backward pass, for spans of one shape.

    `memory` holds what the backward pass needs; `brief`, what one layer needs. The shared prompt,
    if any, is the first span. `x` [N, hidden] is what goes in, `out` what comes out, `dx` the
    gradient of that. `layers` is what each layer left for its gradient, up to `end` of `memory`.
    """

    spans: list[Span]
    memory: Arena
    brief: Arena
    there: list[Any] = field(default_factory=list)
    back: list[Any] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    x: Any = None
    out: Any = None
    end: tuple[int, int] = (0, 0)
    dx: Any = None

    @property
    def shape(self) -> tuple[Any, ...]:
        """Return what makes the calls of two tapes the same."""
        return tuple(span.shape for span in self.spans)

    def do(self, call: Any, *given: Any, **named: Any) -> None:
        """Write a call down: of the forward pass until `dx` is there, then of the backward pass."""
        calls = self.there if self.dx is None else self.back
        calls.append(partial(call, *given, **named))

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
        """Return heads [kept, rows, group, length, width] as [kept · rows, ..., width]."""
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

    def packed(self, padded: Any, span: Span, out: Any) -> None:
        """Write the real tokens of [rows · length, ...] into `out` [N, ...]."""
        if span.real is not None:
            self.do(torch.index_select, padded, 0, span.real, out=out)

    def roomy(self, flat: Any, span: Span) -> Any:
        """Return `flat` [N, ...], or memory for [rows · length, ...] where padding is left out."""
        if span.real is None:
            return flat
        return self.lend((span.rows * span.length, *flat.shape[1:]), flat.dtype)


def padded(flat: Any, span: Span, tape: Tape) -> Any:
    """Return [N, ...] at [rows · length, ...]; padding holds some token: no real one sees it."""
    if span.real is None:
        return flat
    wide = tape.roomy(flat, span)
    tape.do(torch.index_select, flat, 0, span.back, out=wide)
    return wide


def spread(flat: Any, span: Span, tape: Tape) -> Any:
    """Return the same with zeros as padding: a gradient must not come from there."""
    if span.real is None:
        return flat
    wide = tape.roomy(flat, span)
    tape.do(wide.zero_)
    tape.do(wide.index_copy_, 0, span.real, flat)
    return wide


def run(calls: Sequence[Any]) -> None:
    """Make the calls."""
    for call in calls:
        call()
