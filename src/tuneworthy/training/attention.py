"""Causal attention and its gradient, written on a tape: rows side by side, queries in blocks.

Heads are [rows, kept heads, group, length, width]; tokens of a span [tokens, heads · width]. Where
padding is left out of the tokens, it is laid out here. Knows no layer and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy.models._compiled import wide_of
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
        held = self._rooms(span, given[0].dtype, tape)
        wide, out = [tape.roomy(flat, span) for flat in given], given[-1]
        for own, rows in tape.apart(span.rows):
            starts, at = span.starts[rows.start : rows.stop + 1], span.places(rows)
            parts, mine = [room[at] for room in wide], _of(held, rows)
            if span.tight:
                for flat, room in zip(given[:3], parts, strict=False):
                    kernels.padded(flat, starts, room, own.do)
            self._place(parts, mine, span, past, own)
            held["p"].append(self._attend(scale, span, mine, parts[3], own))
            if span.tight:
                kernels.packed(parts[3], starts, out, own.do)
        return held

    def backward(
        self, scale: float, span: Span, held: Held, places: Sequence[Any], tape: Tape, sent: Any
    ) -> Any:
        """Write a span's gradients of q, k and v; return those of the prompt's keys and values.

        `places` are the span's tokens of dq, dk, dv (written) and of the output's gradient; `sent`
        is what rows that look back on the span sent to its keys and values.
        """
        slopes = [tape.lent(held[name]) for name in ("turned", "keys", "values")]
        wide = [tape.roomy(flat, span) for flat in places]
        for (own, rows), weights in zip(tape.apart(span.rows), held["p"], strict=True):
            starts, at = span.starts[rows.start : rows.stop + 1], span.places(rows)
            parts, mine = [room[at] for room in wide], [slope[rows] for slope in slopes]
            if span.tight:  # with zeros for padding: no gradient may come from there
                kernels.padded(places[3], starts, parts[3], own.do)
            self._slopes(scale, span, (_of(held, rows), weights, parts[3]), mine, own)
            for slope, other in zip(mine[1:], sent or (), strict=False):
                own.do(slope.add_, other)
            self._turned_back(mine, parts, span, own)
            if span.tight:
                for room, flat in zip(parts, places[:3], strict=False):
                    kernels.packed(room, starts, flat, own.do)
        return self._sent(slopes[1:], span.skipped, tape)

    def _rooms(self, span: Span, dtype: Any, tape: Tape) -> Held:
        shape = (span.rows, self.kept, span.skipped + span.length, self.width)
        grouped = (span.rows, self.kept, self.group, span.length, self.width)
        keys, values, turned = (tape.take(size, dtype) for size in (shape, shape, grouped))
        return {"keys": keys, "values": values, "turned": turned, "p": []}

    def _heads(self, flat: Any, span: Span, group: int) -> Any:
        """Return [rows · length, heads · width] by head: [rows, kept, group, length, width]."""
        shape = (-1, span.length, self.kept, group, self.width)
        return flat.view(shape).permute(0, 2, 3, 1, 4)

    def _place(
        self, flat: Sequence[Any], held: Held, span: Span, past: Held | None, own: Writer
    ) -> None:
        """Turn queries and keys by their positions; lay keys and values behind the prompt's."""
        (q, k, v, _), skipped = flat, span.skipped
        keys, values = held["keys"], held["values"]
        if past:
            own.do(keys[:, :, :skipped].copy_, past["keys"])
            own.do(values[:, :, :skipped].copy_, past["values"])
        kernels.turn(k, span.angles, skipped, keys[:, :, None], own.do)
        own.do(values[:, :, None, skipped:].copy_, self._heads(v, span, 1))
        kernels.turn(q, span.angles, 0, held["turned"], own.do)

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

    def _attend(self, scale: float, span: Span, held: Held, out: Any, own: Writer) -> list[Any]:
        """Write what queries see; return the weights of each block, None where not kept."""
        seen, kept = self._heads(out, span, self.group), []
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
        (held, kept, dctx), (dq, dk, dv) = given, slopes
        dout = self._heads(dctx, span, self.group)
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

    def _turned_back(
        self, slopes: Sequence[Any], wide: Sequence[Any], span: Span, own: Writer
    ) -> None:
        """Write gradients by head where the linear layers look for them."""
        dq, dk, dv = slopes
        kernels.turn_back(dq, span.angles, 0, wide[0], own.do)
        kernels.turn_back(dk[:, :, None], span.angles, span.skipped, wide[1], own.do)
        own.do(self._heads(wide[2], span, 1).copy_, dv[:, :, None, span.skipped :])

    def _sent(self, slopes: Sequence[Any], skipped: int, tape: Tape) -> Any:
        """Return the sums over rows of what the keys and values of the prompt are sent."""
        if not skipped:
            return None
        wide, shape = wide_of(slopes[0].dtype), (1, self.kept, skipped, self.width)
        sums = [tape.lend(shape, wide) for _ in slopes]
        for own, which in tape.apart(len(slopes)):
            for total, slope in zip(sums[which], slopes[which], strict=True):
                given = (slope[:, :, :skipped], 0)
                own.do(torch.sum, *given, keepdim=True, dtype=wide, out=total)
        return sums


def _of(held: Held, rows: slice) -> Held:
    return {name: held[name][rows] for name in ("keys", "values", "turned")}
