"""Attention of the general path, on any device: torch's fused kernels under one additive mask.

A shared prefix and a row's own tokens are read together, in blocks of rows and of queries, so that
neither scores nor masks of quadratic size are held. A decoding step after a prefix, and scores that
are bounded (soft-capped), are written out in such blocks, their parts joined by log-sum-exp. Knows
no cache and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from tuneworthy.models._memory import HELD

Mask = Callable[[slice, slice], Any]


@dataclass(frozen=True)
class How:
    """What is done with scores: multiplied by `scale`, then bounded by `softcap`, if any.

    `held` is the most bytes of scores, masks or copies at once.
    """

    scale: float
    softcap: float | None = None
    held: int = HELD


def attend(
    query: Any,
    own: tuple[Any, Any],
    shared: tuple[Any, Any] | None,
    mask: Mask,
    how: How,
) -> Any:
    """Return what queries [rows, heads, length, width] see, in the same shape.

    `own` are keys and values [rows, kept heads, keys, width], `shared` those of a prefix [1, …].
    `mask(rows, queries)` returns which of its own keys a row sees (bool), or what is added to their
    scores: [rows or 1, 1, queries, keys].
    """
    rows, heads, length, width = query.shape
    kept = own[0].shape[1]
    packed = query.reshape(rows, kept, heads // kept, length, width)
    fused = how.softcap is None and not (shared and length == 1)
    found = []
    for some, parts in _blocks(packed, own, shared, (how, fused)):
        keys, values = own[0][some], own[1][some]
        if fused and shared:  # copied for these rows and this layer alone
            count = keys.shape[0]
            keys, values = (
                torch.cat([ours.expand(count, *ours.shape[1:]), theirs], 2)
                for ours, theirs in zip(shared, (keys, values), strict=True)
            )
        seen = []
        for part in parts:
            asked = packed[some, :, :, part]
            hidden = mask(some, part)
            given = (keys, values)
            seen.append(
                _fused(asked, given, hidden, how)
                if fused
                else _joined(asked, given, shared, (hidden, how))
            )
        found.append(seen[0] if len(seen) == 1 else torch.cat(seen, 3))
    out = found[0] if len(found) == 1 else torch.cat(found)
    return out.reshape(rows, heads, length, -1)


def _blocks(
    packed: Any, own: tuple[Any, Any], shared: Any, way: tuple[How, bool]
) -> Iterator[tuple[slice, list[slice]]]:
    """Yield rows, and for them the blocks of queries, within the bytes that may be held.

    On CUDA the fused kernels keep no scores, so the mask counts; elsewhere torch may write the
    scores out in fp32.
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


def _fused(asked: Any, given: tuple[Any, Any], hidden: Any, how: How) -> Any:
    """Attend by one fused kernel; the query heads of a group share keys, so they are queries."""
    rows, kept, group, count, width = asked.shape
    past = given[0].shape[2] - hidden.shape[3]
    seen = pad(hidden, (past, 0)) if past else hidden  # nothing of the prefix is hidden
    out = scaled_dot_product_attention(
        asked.reshape(rows, kept, group * count, width),
        *given,
        attn_mask=seen.repeat(1, 1, group, 1),
        scale=how.scale,
    )
    return out.view(rows, kept, group, count, -1)


def _joined(
    asked: Any, given: tuple[Any, Any], shared: tuple[Any, Any] | None, how: tuple[Any, How]
) -> Any:
    """Attend to own and to shared tokens apart, and join the two by their log-sum-exp: exact."""
    rows, kept, group, count, width = asked.shape
    hidden, terms = how
    own = asked.reshape(rows, kept, group * count, width)
    out, weight = _written(own, *given, hidden, terms)
    if shared:
        flat = own.transpose(0, 1).reshape(1, kept, -1, width)  # no key of the prefix is copied
        first, first_weight = _written(flat, *shared, None, terms)
        first = first.view(kept, rows, group * count, -1).transpose(0, 1)
        first_weight = first_weight.view(kept, rows, group * count).transpose(0, 1)
        share = torch.sigmoid(first_weight - weight).unsqueeze(-1).to(out.dtype)
        out = out + share * (first - out)
    return out.view(rows, kept, group, count, -1)


def _written(query: Any, key: Any, value: Any, mask: Any, how: How) -> Any:
    """Return attended values and the log-sum-exp of the scores; going backward both are found anew.

    So a layer keeps no scores for the backward pass, whatever the length of its rows.
    """
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad):
        return checkpoint(
            _scores, query, key, value, mask, how, use_reentrant=False, preserve_rng_state=False
        )
    return _scores(query, key, value, mask, how)


def _scores(query: Any, key: Any, value: Any, mask: Any, how: How) -> tuple[Any, Any]:
    scores = (query @ key.transpose(-1, -2)).float() * how.scale
    if how.softcap is not None:
        scores = torch.tanh(scores / how.softcap) * how.softcap
    if mask is not None:
        mask = mask.repeat(1, 1, scores.shape[2] // mask.shape[2], 1)  # heads of a group
        added = mask.dtype != torch.bool
        scores = scores + mask if added else scores.masked_fill(~mask, float("-inf"))
    return torch.softmax(scores, -1).to(value.dtype) @ value, torch.logsumexp(scores, -1)
