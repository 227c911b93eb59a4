"""Attention of the general path, on any device, by torch's fused kernels with an additive mask.

A shared prefix and a row's own tokens are read together, in blocks of rows and queries, so that
neither scores nor masks take quadratic memory. A decoding step after a prefix, and soft-capped
scores, are computed in such blocks without a fused kernel, and the parts are merged by log-sum-exp.
Knows no cache and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from tuneworthy.models.local.memory import ATTENTION_BYTES

_Mask = Callable[[slice, slice], Any]


@dataclass(frozen=True)
class ScoreOptions:
    """How scores are computed: times `scale`, then soft-capped at `softcap`, if any.

    `held` is the most bytes of scores, masks or copied keys in memory at once.
    """

    scale: float
    softcap: float | None = None
    held: int = ATTENTION_BYTES


def attend(
    query: Any, own: tuple[Any, Any], shared: tuple[Any, Any] | None, mask: _Mask, how: ScoreOptions
) -> Any:
    """Return the attention output of queries [rows, heads, length, width], in the same shape.

    `own` are keys and values [rows, kept heads, keys, width], `shared` those of a prefix [1, …].
    `mask(rows, queries)` returns the mask over a row's own keys, boolean (True: visible) or
    additive: [rows or 1, 1, queries, keys].
    """
    rows, heads, length, width = query.shape
    kept = own[0].shape[1]
    packed = query.reshape(rows, kept, heads // kept, length, width)
    fused = how.softcap is None and not (shared and length == 1)
    results = []
    for batch, parts in _blocks(packed, own, shared, (how, fused)):
        keys, values = own[0][batch], own[1][batch]
        if fused and shared:  # the copy covers only these rows of this layer
            count = keys.shape[0]
            keys, values = (
                torch.cat([ours.expand(count, *ours.shape[1:]), theirs], 2)
                for ours, theirs in zip(shared, (keys, values), strict=True)
            )
        outputs = []
        for part in parts:
            queries = packed[batch, :, :, part]
            hidden = mask(batch, part)
            pair = (keys, values)
            outputs.append(
                _fused(queries, pair, hidden, how)
                if fused
                else _attend_own_and_shared(queries, pair, shared, (hidden, how))
            )
        results.append(outputs[0] if len(outputs) == 1 else torch.cat(outputs, 3))
    out = results[0] if len(results) == 1 else torch.cat(results)
    return out.reshape(rows, heads, length, -1)


def _blocks(
    packed: Any, own: tuple[Any, Any], shared: Any, way: tuple[ScoreOptions, bool]
) -> Iterator[tuple[slice, list[slice]]]:
    """Yield (slice of rows, its slices of queries), each block within the byte limit `how.held`.

    On CUDA the fused kernels store no scores, so the mask sets the size; elsewhere torch may write
    the scores out in fp32.
    """
    rows, kept, group, length, _ = packed.shape
    how, fused = way
    past = shared[0].shape[2] if shared else 0
    keys = own[0].shape[2] + past
    size = packed.dtype.itemsize
    lean = fused and packed.device.type == "cuda"
    each = keys * group * (size if lean else 4 * kept)
    copied = keys * kept * (own[0].shape[3] + own[1].shape[3]) * size if past and fused else 1
    many = max(1, min(how.held // (each * length), how.held // copied))
    step = max(1, min(length, how.held // each))
    parts = [slice(at, min(at + step, length)) for at in range(0, length, step)]
    for start in range(0, rows, many):
        yield slice(start, min(start + many, rows)), parts


def _fused(queries: Any, pair: tuple[Any, Any], hidden: Any, how: ScoreOptions) -> Any:
    """Return attention by one fused kernel; query heads that share keys are folded into queries."""
    rows, kept, group, count, width = queries.shape
    past = pair[0].shape[2] - hidden.shape[3]
    mask = pad(hidden, (past, 0)) if past else hidden  # the prefix is always visible
    out = scaled_dot_product_attention(
        queries.reshape(rows, kept, group * count, width),
        *pair,
        attn_mask=mask.repeat(1, 1, group, 1),
        scale=how.scale,
    )
    return out.view(rows, kept, group, count, -1)


def _attend_own_and_shared(
    queries: Any,
    pair: tuple[Any, Any],
    shared: tuple[Any, Any] | None,
    how: tuple[Any, ScoreOptions],
) -> Any:
    """Return attention over own and shared tokens, computed apart and merged by log-sum-exp."""
    rows, kept, group, count, width = queries.shape
    hidden, terms = how
    own = queries.reshape(rows, kept, group * count, width)
    out, weight = _attend_recomputing(own, *pair, hidden, terms)
    if shared:
        flat = own.transpose(0, 1).reshape(1, kept, -1, width)  # copies no key of the prefix
        first, first_weight = _attend_recomputing(flat, *shared, None, terms)
        first = first.view(kept, rows, group * count, -1).transpose(0, 1)
        first_weight = first_weight.view(kept, rows, group * count).transpose(0, 1)
        share = torch.sigmoid(first_weight - weight).unsqueeze(-1).to(out.dtype)
        out = out + share * (first - out)
    return out.view(rows, kept, group, count, -1)


def _attend_recomputing(query: Any, key: Any, value: Any, mask: Any, how: ScoreOptions) -> Any:
    """Return the attention output and the log-sum-exp of the scores; backward recomputes both.

    So a layer stores no scores for the backward pass, however long its rows are.
    """
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad):
        return checkpoint(
            _scores, query, key, value, mask, how, use_reentrant=False, preserve_rng_state=False
        )
    return _scores(query, key, value, mask, how)


def _scores(query: Any, key: Any, value: Any, mask: Any, how: ScoreOptions) -> tuple[Any, Any]:
    scores = (query @ key.transpose(-1, -2)).float() * how.scale
    if how.softcap is not None:
        scores = torch.tanh(scores / how.softcap) * how.softcap
    if mask is not None:
        # the heads of a group share it
        mask = mask.repeat(1, 1, scores.shape[2] // mask.shape[2], 1)
        added = mask.dtype != torch.bool
        scores = scores + mask if added else scores.masked_fill(~mask, float("-inf"))
    return torch.softmax(scores, -1).to(value.dtype) @ value, torch.logsumexp(scores, -1)
