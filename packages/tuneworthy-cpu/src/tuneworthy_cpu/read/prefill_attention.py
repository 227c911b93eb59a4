"""Attention of prefill: many tokens of each row attend to the prefix and their own row.

Products are those of `gemm/products.py`, on keys and values in place: nothing is copied, and keys
hidden from a whole block of queries are skipped. Sums and exponentials are fp32; scores and weights
are rounded as torch's products round them. Knows no layer.
"""

from __future__ import annotations

from typing import Any

import torch
from numba import types
from numba.extending import overload, register_jitable

from tuneworthy_cpu.compiled import as_array, compiled, get, put, wide, wide_of
from tuneworthy_cpu.gemm.products import address, operand_array, strips
from tuneworthy_cpu.read.decode_attention import round_up, softmax_in_place

# tokens in a block of queries: a larger one computes more scores that the causal mask hides
_BLOCK_TOKENS = 32


def _product(x: Any, w: Any, columns: Any, add: Any, out: Any) -> None:
    """In compiled code: out = x w + add, for the first `columns`; `add` may be empty, or `out`."""


@overload(_product, strict=False)
def _product_of(x: Any, w: Any, columns: Any, add: Any, out: Any) -> Any:  # noqa: ARG001
    def half(x: Any, w: Any, columns: Any, add: Any, out: Any) -> None:
        none = add[:0, :0]
        operands = operand_array(x, w, (none, none), add, out)
        strips(address(operands), 0, columns)

    def whole(x: Any, w: Any, columns: Any, add: Any, out: Any) -> None:
        for m in range(len(x)):
            for n in range(columns):
                total = wide(x, 0.0)
                for k in range(x.shape[1]):
                    total += x[m, k] * w[k, n]
                out[m, n] = total + (add[m, n] if len(add) else wide(x, 0.0))

    return half if x.dtype == types.uint16 else whole


@register_jitable
def _softmax_block(scores: Any, rows: Any, place: Any, table: Any) -> None:
    """Overwrite the scores of some tokens, [tokens · group, keys], with attention weights.

    `place`: the length of the prefix, how many first columns of the row are hidden, how many
    columns the first token sees, how many queries a token has, and the scale.
    """
    past, hide, seen, group, scale = place
    own = round_up(past)  # first column of the row's own tokens
    end = own + round_up(seen + (rows - 1) // group)
    for q in range(rows):
        limit = seen + q // group
        count, first = (
            own + round_up(limit),
            own + min(hide, limit - 1),
        )  # padding attends to itself
        row, line = scores[q][:end], table[:count]
        for k in range(count):
            line[k] = get(row, k) * scale
        softmax_in_place(line, scores, (past, first), own + limit)
        for k in range(count):
            put(row, k, line[k])
        for k in range(count, end):
            row[k] = 0


@compiled
def _attention_loop(q: Any, own: Any, before: Any, place: Any, rough: Any, out: Any) -> None:
    (keys, values), (old_keys, old_values), (hide, filled, scale) = own, before, place
    (scores, table), none = rough, rough[0][:0]
    rows, kept, group, past = (
        q.shape[0],
        q.shape[1],
        out.shape[2] // q.shape[1],
        old_values.shape[1],
    )
    length, start = out.shape[1], round_up(past)
    by = wide(q, scale)
    for r in range(rows):
        for h in range(kept):
            for first in range(0, length, _BLOCK_TOKENS):
                stop = min(first + _BLOCK_TOKENS, length)
                seen, count = filled - length + stop, (stop - first) * group
                queries = q[r, h, first * group : stop * group]
                if past:
                    _product(queries, old_keys[h], start, none, scores)
                _product(queries, keys[r, h], round_up(seen), none, scores[:, start:])
                at = (past, hide[r], filled - length + first + 1, group, by)
                _softmax_block(scores, count, at, table)
                for g in range(group):
                    near, target = scores[g:count:group], out[r, first:stop, h * group + g]
                    width, more = target.shape[1], none
                    if past:
                        _product(near[:, :past], old_values[h], width, none, target)
                        more = target
                    _product(near[:, start : start + seen], values[r, h], width, more, target)


def attention_output(
    q: Any, own: tuple[Any, Any], before: Any, hide: Any, how: tuple[int, float]
) -> Any:
    """Return the attention output of queries [rows, kept heads, length, group, width].

    The result is [rows · length, heads]. `own` are the rows' keys [rows, kept heads, width,
    columns] (whole WIDEs) and values [rows, kept heads, columns, width], `before` those of the
    prefix in the same form, without the first axis, `hide` how many first columns of each row are
    padding. `how`: the filled columns, of which the last token sees all, the one before it all but
    the last; and the scale.
    """
    rows, kept, length, group, width = q.shape
    filled, scale = how
    queries = q.reshape(rows, kept, length * group, width)
    out = q.new_empty(rows, length, kept * group, width)
    columns = before[0].shape[2] + own[0].shape[3]
    scores = q.new_empty(_BLOCK_TOKENS * group, columns)
    table = torch.empty(columns, dtype=wide_of(q.dtype)).numpy()
    pairs = tuple(map(as_array, own)), tuple(map(as_array, before))
    given = (hide.numpy(), filled, scale)
    _attention_loop(as_array(queries), *pairs, given, (as_array(scores), table), as_array(out))
    return out.view(rows * length, -1)
