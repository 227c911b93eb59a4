"""KV cache of a batch that rows join and leave between two decoding steps.

Rows are padded on the left, so a row of any length can end in the same column as the others: its
keys and values are copied once, into a free slot, and the others are not moved. Knows no tokenizer
and no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache

from tuneworthy.models.local import cpu_engine
from tuneworthy.models.local.forward import State
from tuneworthy.models.local.prefix_attention import LayerCache, Prefix

CHUNK = 64  # columns by which the memory grows at least: all rows are copied each time


class SlotLayer(LayerCache):
    """One layer's memory for a number of rows (slots), the first of which are in use."""

    def __init__(self, transposed: bool) -> None:
        super().__init__(0, transposed)
        self.store: tuple[Any, Any] | None = None

    def reserve(self, like: LayerCache, shape: tuple[int, int], kept: tuple[int, int, int]) -> None:
        """Allocate zeroed memory of `shape` (rows, columns) and copy the old rows into it.

        It is zeroed because unfilled columns are read, though masked. `kept` is (old rows, columns
        to copy of each, the new `filled`, where they end). `like` is a cache with the same heads
        and precision.
        """
        (slots, columns), (rows, count, filled), old = shape, kept, self.store
        assert like.memory is not None
        first = [memory[:1].expand(slots, *memory.shape[1:]) for memory in like.memory]
        self.store = tuple(space.zero_() for space in self._empty_buffers(first, columns))
        assert self.store is not None
        for axis, to, given in zip(self.axes, self.store, old or (), strict=False):
            part = given[:rows].narrow(axis, self.filled - count, count)
            to[:rows].narrow(axis, filled - count, count).copy_(part)
        self.filled, self.is_initialized = filled, True

    def admit(self, slot: int, given: LayerCache, row: int, length: int) -> None:
        """Copy the last `length` columns of a row of another cache into a free slot."""
        assert self.store is not None
        assert given.memory is not None
        for axis, to, memory in zip(self.axes, self.store, given.memory, strict=True):
            part = memory[row].narrow(axis - 1, given.filled - length, length)
            to[slot].narrow(axis - 1, self.filled - length, length).copy_(part)

    def show(self, rows: int) -> None:
        """Set the keys and values in use to those of the first `rows` slots."""
        assert self.store is not None
        self.memory = self.store[0][:rows], self.store[1][:rows]
        self._look()


class OpenState:
    """A decoding state that rows join and leave; `state` is the argument of `forward.step`.

    `lengths` are the numbers of columns of each row without padding.
    """

    def __init__(self, layers: int, transposed: bool, prefix: Prefix | None, device: Any) -> None:
        self.layers = [SlotLayer(transposed) for _ in range(layers)]
        self.lengths: list[int] = []
        empty = torch.zeros(0, dtype=torch.long, device=device)
        real = torch.zeros(0, 0, dtype=torch.bool, device=device)
        self.state = State(Cache(layers=self.layers), real, empty, 0, prefix, wide=False)
        self._shape = (0, 0)

    def join(self, other: State, lengths: Sequence[int], room: int, slots: int) -> None:
        """Add all rows of a batch that was just read; `lengths` are their token counts.

        `room` is the number of columns that the rows may need later, `slots` the number of rows to
        allocate memory for.
        """
        rows, filled = len(self.lengths), max(self.state.filled, *lengths)
        count, longest = rows + len(lengths), max([*self.lengths, *lengths])
        if not rows and count <= self._shape[0] and filled < self._shape[1]:
            self._begin(filled)
        elif count > self._shape[0] or filled >= self._shape[1]:
            columns = longest + max(CHUNK, min(room, longest))
            self._move(longest, (max(count, slots), columns), other)
        elif filled > self.state.filled:
            self._move(filled, self._shape, other)
        for own, given in zip(self.layers, other.cache.layers, strict=True):
            for row, length in enumerate(lengths):
                own.admit(rows + row, given, row, length)
        self.lengths += lengths
        self._show(torch.cat([self.state.position, other.position]))

    def keep(self, rows: Sequence[int]) -> None:
        """Reduce the batch to `rows`, in order; moved rows must come from behind the kept ones."""
        for layer in self.layers:
            if rows:
                layer.keep(rows)
        if not rows:
            self._begin(0)
        self.lengths = [self.lengths[row] for row in rows]
        self._show(self.state.position[list(rows)])

    def before_step(self) -> None:
        """Make room for one more column in every row, and count it in `lengths`."""
        if self.state.filled + 1 > self._shape[1]:
            longest = max(self.lengths)
            columns = longest + max(CHUNK, longest // 2)
            self._move(longest, (self._shape[0], columns), self.state)
            self._show(self.state.position)
        self.lengths = [length + 1 for length in self.lengths]

    def _begin(self, filled: int) -> None:
        """Set the column in which rows end, for an empty batch."""
        self.state.filled = filled
        for layer in self.layers:
            layer.filled = filled

    def _move(self, filled: int, shape: tuple[int, int], like: State) -> None:
        """Copy all rows into new memory of `shape`, so that they end in column `filled`."""
        rows, count = len(self.lengths), max(self.lengths, default=0)
        shape = shape[0], cpu_engine.whole(shape[1])
        for layer, given in zip(self.layers, like.cache.layers, strict=True):
            layer.reserve(given, shape, (rows, count, filled))
        self.state.filled, self._shape = filled, shape

    def _show(self, position: Any) -> None:
        state, columns = self.state, self._shape[1]
        state.position = position
        place = torch.arange(columns, device=position.device)[None]
        starts = [state.filled - length for length in self.lengths]
        state.real = place >= torch.tensor(starts, device=position.device)[:, None]
        for layer in self.layers:
            layer.show(len(self.lengths))
