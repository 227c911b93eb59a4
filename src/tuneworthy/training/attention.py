"""Causal attention and its gradient, written on a tape: rows side by side, queries in blocks.

Heads are [rows, kept heads, group, length, width]; tokens of a span [tokens, heads · width]. Where
padding is left out of the tokens, it is laid out here. Knows no layer and no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy.models._kernels import weigh
from tuneworthy.training import kernels
from tuneworthy.training.tape import Span, Tape, Writer

_BLOCK = 128  # queries attended to at once: their scores stay in the cache of a core
_KEPT = 512  # with more keys, attention weights are computed again instead of kept
Held = dict[str, Any]


@dataclass(frozen=True)
class Attention:
    """How the heads of a model lie: `kept` of keys and values, for `group` queries each."""

    kept: int
    group: int
    width: int

    def forward(
        self, scale: float, span: Span, given: Sequence[Any], past: Held | None, tape: Tape
    ) -> Held:
        """Write what the span's queries see into the last of `given`; return what is kept of it.

        `given` are q, k, v and that, of the span's tokens; `past` is what was kept of the prompt.
        """
        (q, k, v, out), held = given, self._rooms(span, given[0].dtype, tape)
        old = past or {"keys": None, "values": None}
        for own, part, place in self._apart(span, tape):
            mine = _of(held, part)
            keys, values = (mine[name][:, :, None] for name in ("keys", "values"))
            kernels.laid(k, place, old["keys"], span.angles, keys, own.do)
            kernels.laid(v, place, old["values"], None, values, own.do)
            kernels.laid(q, place, None, span.angles, mine["turned"], own.do)
            seen = own.lent(mine["turned"])
            held["p"].append(self._attend(scale, span, mine, seen, own))
            kernels.taken(seen, place, 0, None, out, own.do)
        return held

    def backward(
        self, scale: float, span: Span, held: Held, places: Sequence[Any], tape: Tape, sent: Any
    ) -> Any:
        """Write a span's gradients of q, k and v; return those of all keys and values.

        `places` are the span's tokens of dq, dk, dv (written) and of the output's gradient; `sent`
        is what rows that look back on the span returned.
        """
        (dq, dk, dv, dout), skipped = places, span.skipped
        slopes = [tape.lent(held[name]) for name in ("turned", "keys", "values")]
        parts = zip(self._apart(span, tape), held["p"], strict=True)
        for (own, part, place), weights in parts:
            mine = [slope[part] for slope in slopes]
            seen = own.lent(mine[0])
            kernels.laid(dout, place, None, None, seen, own.do)  # no gradient comes from padding
            self._slopes(scale, span, (_of(held, part), weights, seen), mine, own)
            for slope, more in zip(mine[1:], sent or (), strict=False):
                kernels.gained(more, place[1], slope, own.do)
            kernels.taken(mine[0], place, 0, span.angles, dq, own.do)
            kernels.taken(mine[1][:, :, None], place, skipped, span.angles, dk, own.do)
            kernels.taken(mine[2][:, :, None], place, skipped, None, dv, own.do)
        return slopes[1:]

    def _apart(self, span: Span, tape: Tape) -> Iterator[tuple[Writer, Any, tuple[Any, int]]]:
        """Yield writers with their share of the rows, of a single one of its kept heads.

        And where that lies: the places of the rows among the tokens, and the first head.
        """
        one = span.rows == 1
        for own, some in tape.apart(self.kept if one else span.rows):
            if one:
                yield own, (slice(0, 1), some), (span.starts, some.start)
            else:
                yield own, (some,), (span.starts[some.start : some.stop + 1], 0)

    def _rooms(self, span: Span, dtype: Any, tape: Tape) -> Held:
        shape = (span.rows, self.kept, span.skipped + span.length, self.width)
        grouped = (span.rows, self.kept, self.group, span.length, self.width)
        keys, values, turned = (tape.take(size, dtype) for size in (shape, shape, grouped))
        return {"keys": keys, "values": values, "turned": turned, "p": []}

    def _weights(self, scale: float, turned: Any, keys: Any, own: Writer) -> Any:
        """Return softmax(s · q kᵀ) of one block of queries, [rows · kept, queries, keys].

        Of the block's queries the last sees all keys, the one before it all but the last. Scores
        are rounded as the model's own are: the gradient is as near that of an fp32 run (FINDINGS).
        """
        packed, block, count = own.flat(turned), turned.shape[3], keys.shape[2]
        store = own.take if count <= _KEPT else own.lend
        scores = store((*packed.shape[:2], count), packed.dtype)
        own.do(torch.bmm, packed, keys.flatten(0, 1).transpose(1, 2), out=scores)
        weigh(scores[None], None, None, (1, block, count, 0, 1), scale, own.do)
        return scores

    def _blocks(self, span: Span) -> list[tuple[slice, int]]:
        """Return for each block of queries: which, and how many keys its last one sees."""
        starts = range(0, span.length, _BLOCK)
        stops = [min(start + _BLOCK, span.length) for start in starts]
        return [(slice(a, b), span.skipped + b) for a, b in zip(starts, stops, strict=True)]

    def _attend(self, scale: float, span: Span, held: Held, seen: Any, own: Writer) -> list[Any]:
        """Write what queries see; return the weights of each block, None where not kept."""
        kept = []
        for block, count in self._blocks(span):
            mark = own.brief.at
            keys, values = (held[name][:, :, :count] for name in ("keys", "values"))
            weights = self._weights(scale, held["turned"][:, :, :, block], keys, own)
            own.product(weights, values.flatten(0, 1), seen[:, :, :, block])
            kept.append(weights if count <= _KEPT else None)
            own.brief.at = mark
        return kept

    def _slopes(
        self, scale: float, span: Span, given: tuple[Any, ...], slopes: Sequence[Any], own: Writer
    ) -> None:
        """Write the gradient of turned queries, of keys and of values.

        `given`: what is held, the weights by block, and the gradient of what was seen. With P the
        attention weights and dP = dO Vᵀ: dS = P · (dP - Σ P · dP). The last block of queries sees
        all keys: it writes their gradient, the blocks before it add to that.
        """
        (held, kept, dout), (dq, dk, dv) = given, slopes
        for (block, count), stored in reversed(list(zip(self._blocks(span), kept, strict=True))):
            mark, more = own.brief.at, block.stop < span.length
            turned, keys = held["turned"][:, :, :, block], held["keys"][:, :, :count]
            weights = self._weights(scale, turned, keys, own) if stored is None else stored
            packed, asked = own.flat(dout[:, :, :, block]), own.flat(turned)
            values = held["values"][:, :, :count].flatten(0, 1)
            sloped = own.lent(weights)
            own.do(torch.bmm, packed, values.transpose(1, 2), out=sloped)
            kernels.score_slopes(weights, sloped, scale, own.do)
            own.product(sloped, keys.flatten(0, 1), dq[:, :, :, block])
            own.product(sloped.transpose(1, 2), asked, dk[:, :, :count], more)
            own.product(weights.transpose(1, 2), packed, dv[:, :, :count], more)
            own.brief.at = mark


def _of(held: Held, part: Any) -> Held:
    return {name: held[name][part] for name in ("keys", "values", "turned")}
