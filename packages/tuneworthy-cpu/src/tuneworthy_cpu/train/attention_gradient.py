"""Causal attention and its gradient in the recorded training step, with queries in blocks.

Heads are [rows, kept heads, group, length, width] ("kept heads" are key/value heads); tokens of a
span are [tokens, heads · width]. Padding that the tokens leave out is inserted here. Knows no layer
and no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy_cpu.read.layer_kernels import softmax_scores
from tuneworthy_cpu.train import gradient_kernels as kernels
from tuneworthy_cpu.train.recorded_step import RecordedStep, Recorder, Span

_BLOCK_QUERIES = 128  # queries in a block: their scores fit a core's cache
_MOST_STORED_KEYS = 512  # with more keys, attention weights are recomputed instead of stored
Held = dict[str, Any]


@dataclass(frozen=True)
class Attention:
    """The head layout of a model: `kept` key/value heads, each for `group` query heads."""

    kept: int
    group: int
    width: int

    def forward(
        self, scale: float, span: Span, given: Sequence[Any], past: Held | None, step: RecordedStep
    ) -> Held:
        """Record the span's attention; return the tensors stored for its gradient.

        `given` are q, k, v and the output (written) of the span's tokens; `past` are the stored
        tensors of the prompt.
        """
        (q, k, v, out), held = given, self._allocate(span, given[0].dtype, step)
        old = past or {"keys": None, "values": None}
        for own, part, place in self._split(span, step):
            part_held = _part_of(held, part)
            keys, values = (part_held[name][:, :, None] for name in ("keys", "values"))
            kernels.gather(k, place, old["keys"], span.angles, keys, own.do)
            kernels.gather(v, place, old["values"], None, values, own.do)
            kernels.gather(q, place, None, span.angles, part_held["turned"], own.do)
            output = own.take_brief_like(part_held["turned"])
            held["p"].append(self._attend(scale, span, part_held, output, own))
            kernels.scatter(output, place, 0, None, out, own.do)
        return held

    def backward(
        self,
        scale: float,
        span: Span,
        held: Held,
        places: Sequence[Any],
        step: RecordedStep,
        sent: Any,
    ) -> Any:
        """Record a span's gradients of q, k and v; return those of keys and values by head.

        `places` are the span's tokens of dq, dk, dv (written) and of the output's gradient; `sent`
        is the return value for the rows that attend to this span.
        """
        (dq, dk, dv, dout), skipped = places, span.skipped
        slopes = [step.take_brief_like(held[name]) for name in ("turned", "keys", "values")]
        parts = zip(self._split(span, step), held["p"], strict=True)
        for (own, part, place), weights in parts:
            part_slopes = [slope[part] for slope in slopes]
            doutput = own.take_brief_like(part_slopes[0])
            kernels.gather(dout, place, None, None, doutput, own.do)  # padding has no gradient
            self._record_gradients(
                scale, span, (_part_of(held, part), weights, doutput), part_slopes, own
            )
            for slope, more in zip(part_slopes[1:], sent or (), strict=False):
                kernels.add_row_sums(more, place[1], slope, own.do)
            kernels.scatter(part_slopes[0], place, 0, span.angles, dq, own.do)
            kernels.scatter(part_slopes[1][:, :, None], place, skipped, span.angles, dk, own.do)
            kernels.scatter(part_slopes[2][:, :, None], place, skipped, None, dv, own.do)
        return slopes[1:]

    def _split(
        self, span: Span, step: RecordedStep
    ) -> Iterator[tuple[Recorder, Any, tuple[Any, int]]]:
        """Yield recorders that run in parallel, each with its rows, or kept heads of a single row.

        The third item yielded are the rows' start offsets among the tokens, and the first head.
        """
        single_row = span.rows == 1
        for own, share in step.split(self.kept if single_row else span.rows):
            if single_row:
                yield own, (slice(0, 1), share), (span.starts, share.start)
            else:
                yield own, (share,), (span.starts[share.start : share.stop + 1], 0)

    def _allocate(self, span: Span, dtype: Any, step: RecordedStep) -> Held:
        shape = (span.rows, self.kept, span.skipped + span.length, self.width)
        grouped = (span.rows, self.kept, self.group, span.length, self.width)
        keys, values, turned = (step.take(size, dtype) for size in (shape, shape, grouped))
        return {"keys": keys, "values": values, "turned": turned, "p": []}

    def _weights(self, scale: float, turned: Any, keys: Any, own: Recorder) -> Any:
        """Return softmax(s · q kᵀ) of one block of queries, [rows · kept, queries, keys].

        The block's last query sees all keys, the one before it all but the last. Scores are rounded
        as the model rounds them; the gradient stays as close to that of an fp32 run.
        """
        packed, block, count = own.flat(turned), turned.shape[3], keys.shape[2]
        store = own.take if count <= _MOST_STORED_KEYS else own.take_brief
        scores = store((*packed.shape[:2], count), packed.dtype)
        own.do(torch.bmm, packed, keys.flatten(0, 1).transpose(1, 2), out=scores)
        softmax_scores(scores[None], None, None, (1, block, count, 0, 1), scale, own.do)
        return scores

    def _blocks(self, span: Span) -> list[tuple[slice, int]]:
        """Return (slice of queries, number of keys that its last query sees) for each block."""
        starts = range(0, span.length, _BLOCK_QUERIES)
        stops = [min(start + _BLOCK_QUERIES, span.length) for start in starts]
        return [(slice(a, b), span.skipped + b) for a, b in zip(starts, stops, strict=True)]

    def _attend(
        self, scale: float, span: Span, held: Held, output: Any, own: Recorder
    ) -> list[Any]:
        """Record the attention output; return each block's weights, None where not stored."""
        kept = []
        for block, count in self._blocks(span):
            mark = own.brief.at
            keys, values = (held[name][:, :, :count] for name in ("keys", "values"))
            weights = self._weights(scale, held["turned"][:, :, :, block], keys, own)
            own.product(weights, values.flatten(0, 1), output[:, :, :, block])
            kept.append(weights if count <= _MOST_STORED_KEYS else None)
            own.brief.at = mark
        return kept

    def _record_gradients(
        self, scale: float, span: Span, given: tuple[Any, ...], slopes: Sequence[Any], own: Recorder
    ) -> None:
        """Record writing the gradients of rotated queries, keys and values to `slopes`.

        `given`: the stored tensors, the weights by block, and the gradient of the output. With P
        the attention weights and dP = dO Vᵀ: dS = P · (dP - Σ P · dP). The last block of queries
        sees all keys, so it writes their gradient; the blocks before it add to the gradient.
        """
        (held, kept, dout), (dq, dk, dv) = given, slopes
        for (block, count), stored in reversed(list(zip(self._blocks(span), kept, strict=True))):
            mark, more = own.brief.at, block.stop < span.length
            turned, keys = held["turned"][:, :, :, block], held["keys"][:, :, :count]
            weights = self._weights(scale, turned, keys, own) if stored is None else stored
            packed, queries = own.flat(dout[:, :, :, block]), own.flat(turned)
            values = held["values"][:, :, :count].flatten(0, 1)
            sloped = own.take_brief_like(weights)
            own.do(torch.bmm, packed, values.transpose(1, 2), out=sloped)
            kernels.softmax_backward(weights, sloped, scale, own.do)
            own.product(sloped, keys.flatten(0, 1), dq[:, :, :, block])
            own.product(sloped.transpose(1, 2), queries, dk[:, :, :count], more)
            own.product(weights.transpose(1, 2), packed, dv[:, :, :count], more)
            own.brief.at = mark


def _part_of(held: Held, part: Any) -> Held:
    return {name: held[name][part] for name in ("keys", "values", "turned")}
