"""Compute attention in two parts: a prompt prefix shared by all rows, and each row's own tokens.

The shared keys and values are read once for the whole batch and never copied. The two parts are
merged by their log-sum-exp, which is exact. Knows no tokenizer and no decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tuneworthy.models.local import cpu_engine
from tuneworthy.models.local.device_attention import ScoreOptions, attend

NAME = "tuneworthy"
_flash = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)


@dataclass(frozen=True)
class Prefix:
    """Keys and values of the shared prompt prefix by layer, each [1, heads, length, width].

    The keys are [1, heads, width, length] if they come from a cache with transposed keys.
    """

    keys: list[Any]
    values: list[Any]
    length: int

    @cached_property
    def columns(self) -> list[tuple[Any, Any]]:
        """Return each layer's keys [heads, width, length] and values [heads, length, width].

        The keys must be transposed already; zeros pad them to a multiple of 32 columns.
        """
        more = cpu_engine.whole(self.length) - self.length
        pairs = zip(self.keys, self.values, strict=True)
        return [(pad(k[0], (0, more)).contiguous(), v[0].contiguous()) for k, v in pairs]


@dataclass
class AttentionContext:
    """The keys that queries of one forward pass attend to: the prefix, and keys of their own row.

    `mask` over a row's own keys is additive, [rows, 1, queries, keys]; every query attends at least
    to itself. If `mask` is None it is causal, without the (left) padding: `real` [rows, keys] is
    False at padding.
    """

    prefix: Prefix | None
    mask: Any
    real: Any = None
    _grouped: dict[Any, Any] = field(default_factory=dict)

    def grouped(self, groups: int, length: int, dtype: Any) -> Any:
        """Return the additive mask of all queries, repeated for each of `groups` query heads."""
        if groups not in self._grouped:
            whole = self.real.shape[1] if self.mask is None else self.mask.shape[3]
            mask = self.additive(slice(None), slice(0, length), (length, whole, dtype))
            self._grouped[groups] = mask.repeat(1, 1, groups, 1)
        return self._grouped[groups]

    def additive(self, rows: slice, queries: slice, shape: tuple[int, int, Any]) -> Any:
        """Return the additive mask of some queries of some rows over their own keys.

        `shape` is (number of queries, number of keys, dtype of the scores). The mask is built
        block by block: the whole mask of long rows would take quadratic memory.
        """
        length, count, dtype = shape
        if self.mask is not None:
            mask = self.mask if self.mask.shape[0] == 1 else self.mask[rows]
            return mask[:, :, queries, :count]
        first = count - length  # the queries are the last `length` keys
        real = self.real[rows, :count]
        place = torch.arange(first + queries.start, first + queries.stop, device=real.device)
        keys = torch.arange(count, device=real.device)[None]
        own = place[:, None]
        return additive(((real[:, None] & (keys <= own)) | (keys == own))[:, None], dtype)


class LayerCache(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer in preallocated memory, so that a decoding step copies nothing.

    `transposed` stores the keys as [rows, heads, width, length]: a product of few queries then
    reads them in memory order, two to three times as fast in bf16 (bench/journal).
    """

    def __init__(self, capacity: int, transposed: bool = False) -> None:
        super().__init__()
        self.capacity, self.filled = capacity, 0
        self.axes = (3 if transposed else 2, 2)
        self.memory: tuple[Any, Any] | None = None

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Append keys and values of new tokens; return views of all filled columns.

        Transposed keys come padded to a multiple of 32 columns, the last of which may be unfilled.
        """
        if self.axes[0] == 3:
            key_states = key_states.transpose(2, 3)
        given, start = (key_states, value_states), self.filled
        if self.memory is None:
            self.is_initialized = True
            self.memory = self._new_buffers(given, self.capacity)
        self._extend(value_states.shape[2])
        self._write(start, given)
        views = self._look()
        if self.axes[0] == 2:
            return views
        near = cpu_engine.whole(self.filled, self.memory[1].shape[2])
        return [m.narrow(a, 0, near) for m, a in zip(self.memory, self.axes, strict=True)]

    def append(self) -> tuple[Any, Any]:
        """Add a column for one more token; return the whole buffers of keys and values."""
        self._extend(1)
        self._look()
        assert self.memory is not None
        return self.memory

    def _extend(self, count: int) -> None:
        start, self.filled = self.filled, self.filled + count
        assert self.memory is not None
        if self.filled > self.memory[1].shape[2]:
            old, self.memory = self.memory, self._new_buffers(self.memory, self.filled * 3 // 2)
            self._write(0, [m.narrow(a, 0, start) for m, a in zip(old, self.axes, strict=True)])

    def keep(self, rows: Sequence[int]) -> None:
        """Reduce the cache to `rows` (indexes), in this order.

        If each moved row comes from behind the kept ones, only the moved rows are copied.
        """
        if self.memory is None:
            return
        moves = [(place, row) for place, row in enumerate(rows) if place != row]
        near = [m.narrow(a, 0, self.filled) for m, a in zip(self.memory, self.axes, strict=True)]
        if all(row >= len(rows) for _, row in moves):
            for place, row in moves:
                for states in near:
                    states[place] = states[row]
            self.memory = self.memory[0][: len(rows)], self.memory[1][: len(rows)]
        else:
            index = torch.tensor(list(rows), device=near[0].device)
            like = [m[:1].expand(len(rows), *m.shape[1:]) for m in self.memory]
            self.memory = self._new_buffers(like, self.memory[1].shape[2])
            self._write(0, [states[index] for states in near])
        self._look()

    def rewind(self, length: int) -> None:
        """Drop all columns after the first `length` columns."""
        self.filled = length
        self._look()

    def _empty_buffers(self, like: Sequence[Any], length: int) -> Any:
        shapes = [list(states.shape) for states in like]
        for shape, axis in zip(shapes, self.axes, strict=True):
            shape[axis] = length
        return tuple(states.new_empty(shape) for states, shape in zip(like, shapes, strict=True))

    def _new_buffers(self, like: Sequence[Any], length: int) -> Any:
        """Return new buffers of keys and values; zero the values if the keys are transposed.

        Products with transposed keys read unfilled values, up to a multiple of 32 columns.
        """
        transposed = self.axes[0] == 3
        keys, values = self._empty_buffers(like, cpu_engine.whole(length) if transposed else length)
        return keys, values.zero_() if transposed else values

    def _write(self, start: int, given: Sequence[Any]) -> None:
        assert self.memory is not None
        for memory, states, axis in zip(self.memory, given, self.axes, strict=True):
            memory.narrow(axis, start, states.shape[axis]).copy_(states)

    def _look(self) -> tuple[Any, Any]:
        assert self.memory is not None
        self.keys, self.values = (
            memory.narrow(axis, 0, self.filled)
            for memory, axis in zip(self.memory, self.axes, strict=True)
        )
        return self.keys, self.values


@dataclass
class LayerCacheSlice:
    """The slice `rows` of a `LayerCache` with `many` rows, to fill from column `start` on.

    Columns before `start` are zeroed: unwritten memory may hold NaN, which no mask hides, because
    0 · NaN is NaN.
    """

    room: LayerCache
    rows: slice
    start: int
    many: int

    def update(self, key_states: Any, value_states: Any) -> Any:
        """Write keys and values of these rows; return views padded to a multiple of 32 columns."""
        room = self.room
        given = [key_states.transpose(2, 3) if room.axes[0] == 3 else key_states, value_states]
        if room.memory is None:
            room.is_initialized = True
            like = [g[:1].expand(self.many, *g.shape[1:]) for g in given]
            room.memory = room._new_buffers(like, room.capacity)
        views = []
        count = value_states.shape[2]
        near = cpu_engine.whole(count, room.memory[1].shape[2] - self.start)
        for memory, states, axis in zip(room.memory, given, room.axes, strict=True):
            own = memory[self.rows]
            own.narrow(axis, 0, self.start).zero_()
            own.narrow(axis, self.start, count).copy_(states)
            views.append(own.narrow(axis, self.start, near))
        room.filled = self.start + count
        room._look()
        return views


def new_cache(layers: int, capacity: int, *, transposed: bool = False) -> Any:
    """Return a transformers cache of one `LayerCache` per layer, for `capacity` tokens a row."""
    # with a block more, a padded view fits from any start column
    space = capacity + cpu_engine.whole(1) * transposed
    return Cache(layers=[LayerCache(space, transposed) for _ in range(layers)])


def attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Return (attention output, None) as transformers does; `sight` may be an AttentionContext."""
    sight: AttentionContext | None = kwargs.pop("sight", None)
    softcap = kwargs.get("softcap")
    if sight is None and softcap is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]
    if sight is None:
        sight = AttentionContext(
            None, _causal(query, key) if attention_mask is None else attention_mask
        )
    scale = kwargs.get("scaling") or query.shape[-1] ** -0.5
    past = sight.prefix
    shared = (past.keys[module.layer_idx], past.values[module.layer_idx]) if past else None
    on_cpu = query.device.type == "cpu" and query.shape[-1] == value.shape[-1]
    on_cpu = on_cpu and cpu_engine.enabled()
    if on_cpu and softcap is None and _flash is not None:
        out = _attend_on_cpu(query, (key, value), shared, sight, scale)
    else:
        shape = query.shape[2], key.shape[2], query.dtype
        look = partial(_look, sight, shape)
        out = attend(query, (key, value), shared, look, ScoreOptions(scale, softcap))
    return out.transpose(1, 2).contiguous(), None


def _look(sight: AttentionContext, shape: tuple[int, int, Any], rows: slice, queries: slice) -> Any:
    """Return a block of the mask; a block of all rows and queries is cached for other layers."""
    if queries.stop - queries.start < shape[0] or rows.start:
        return sight.additive(rows, queries, shape)
    if (rows.stop, "whole") not in sight._grouped:
        sight._grouped[rows.stop, "whole"] = sight.additive(rows, queries, shape)
    return sight._grouped[rows.stop, "whole"]


def _attend_on_cpu(
    query: Any, own: tuple[Any, Any], shared: Any, sight: AttentionContext, scale: float
) -> Any:
    """Return the attention output by torch's CPU kernel, which also returns the log-sum-exp."""
    rows, heads, length, width = query.shape
    key, value = own
    kept = key.shape[1]
    packed = query.reshape(rows, kept, heads // kept * length, width)
    mask = sight.grouped(heads // kept, length, query.dtype)
    out, weight = _cpu_kernel(packed, key, value, mask, scale)
    if shared is not None:
        flat = packed.transpose(0, 1).reshape(1, kept, -1, width)
        first, first_weight = _cpu_kernel(flat, shared[0], shared[1], None, scale)
        first = first.view(kept, rows, -1, out.shape[-1]).transpose(0, 1)
        first_weight = first_weight.view(kept, rows, -1).transpose(0, 1)
        share = torch.sigmoid(first_weight - weight).unsqueeze(-1).to(out.dtype)
        out = out + share * (first - out)
    return out.reshape(rows, heads, length, -1)


def _cpu_kernel(query: Any, key: Any, value: Any, mask: Any, scale: float) -> Any:
    assert _flash is not None
    return _flash(query, key, value, 0.0, False, attn_mask=mask, scale=scale)


def _causal(query: Any, key: Any) -> Any:
    """Return a boolean causal mask; the last query attends to all keys."""
    shape = (query.shape[-2], key.shape[-2])
    ones = torch.ones(shape, dtype=torch.bool, device=query.device)
    return ones.tril(shape[1] - shape[0])[None, None]


def additive(seen: Any, dtype: Any) -> Any:
    """Return an additive mask: 0 where `seen` is True, minus infinity elsewhere."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(
        ~seen, float("-inf")
    )


def install() -> str:
    """Register `attention` with transformers; return the name of the implementation."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
