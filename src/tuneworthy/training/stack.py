"""The decoder layers of the Llama family with their gradient written out, for LoRA on a CPU.

What autograd costs here: small operations on fresh memory, adapters in another precision, and an
attention kernel that is slow at a few hundred tokens. This file reads the layers' own weights,
copies none, writes the calls of a step on a tape that is run again for every step of its shape, and
is taken only where `prove` finds the loss and gradient that autograd finds. Knows no optimizer and
no task.

Shapes: N tokens: those of a shared prompt, then the rows', row after row; every linear layer sees
them as one matrix. Padding on the right is left out of them where there is much, and only
attention sees it: heads are [kept heads, rows, group, length, width].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch

from tuneworthy.models._compiled import wide_of
from tuneworthy.models._decoder import known
from tuneworthy.models._kernels import weigh
from tuneworthy.models._team import Team
from tuneworthy.training import kernels
from tuneworthy.training.pieces import Adapters, Fan, Norm, open_norm
from tuneworthy.training.plain import Plain
from tuneworthy.training.tape import Arena, Span, Tape, padded, run, spread

_BLOCK = 128  # queries attended to at once: their scores stay in the cache of a core
_PADDED = 0.08  # share of padding above which leaving it out is worth the copies
ROUND = 8  # lengths are multiples: oneDNN compiles every product of a new one, and keeps few
_KEPT = 512  # with more keys, attention weights are computed again instead of kept
_TAPES = 16  # shapes of a step whose calls are kept


@dataclass
class Layer:
    """One decoder layer: q, k, v · o · gate, up · down, and what stands between them."""

    into: Fan
    out: Fan
    up: Fan
    down: Fan
    first: Norm
    second: Norm
    q_norm: Norm | None
    k_norm: Norm | None
    scale: float

    @property
    def fans(self) -> tuple[Fan, ...]:
        """Return the linear layers."""
        return self.into, self.out, self.up, self.down


class Stack:
    """All layers of one model, their adapters, and memory that steps use again.

    A tape is read forward, then backward, and released before the next one: they share memory.
    """

    def __init__(self, body: Any) -> None:
        config = body.config
        self.body = body
        self.kept: int = config.num_key_value_heads
        self.group: int = config.num_attention_heads // self.kept
        self.width: int = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        self.team = Team()
        self.plain = all(fan.fit for layer in body.layers for fan in _fans(layer, self.team))
        self.layers = [_layer(layer, self.team if self.plain else None) for layer in body.layers]
        fans = [fan for layer in self.layers for fan in layer.fans]
        self.adapters = Adapters(fans)
        self.rest()

    def rest(self) -> None:
        """Let go of the memory that steps use again."""
        self.tapes: dict[tuple[Any, ...], Tape] = {}
        self.memory, self.brief = Arena(), Arena()
        self.adapters.rest()

    def forward(self, ids: Sequence[Any], tape: Tape) -> Any:
        """Return the last layer's output, [N, hidden].

        `ids` are [rows, length] for each span, padded on the right.
        """
        spans = zip(ids, tape.spans, strict=True)
        given = [i.flatten() if s.real is None else i.flatten()[s.real] for i, s in spans]
        x = self.body.embed_tokens(torch.cat(given))
        if tape.out is None:
            self._write_forward(x, tape)
        tape.x.copy_(x)
        run(tape.there)
        return tape.out

    def backward(self, dx: Any, tape: Tape) -> None:
        """Write the adapters' gradient to its places; `dx` [N, hidden] is that of the output."""
        if tape.dx is None:
            self._write_backward(dx, tape)
        tape.dx.copy_(dx)
        run(tape.back)

    def _write_forward(self, x: Any, tape: Tape) -> None:
        self.memory.at = (0, 0)
        tape.x = out = tape.take(x.shape, x.dtype)
        for layer in self.layers:
            self.brief.at = (0, 0)
            out = self._forward(layer, out, tape)
        tape.out, tape.end = out, self.memory.at

    def _write_backward(self, dx: Any, tape: Tape) -> None:
        self.memory.at = tape.end  # other tapes may have been written since
        tape.dx, other = (tape.take(dx.shape, dx.dtype) for _ in range(2))
        flows = [tape.dx, other]
        for number in reversed(range(len(self.layers))):
            self.brief.at = (0, 0)
            self._backward(number, flows, tape)
            flows.reverse()

    def release(self, tape: Tape) -> None:
        """Keep a tape for the next step of its shape, in place of the one that rested longest."""
        self.tapes[tape.shape] = tape
        if len(self.tapes) > _TAPES:
            del self.tapes[next(iter(self.tapes))]

    def tape(self, lengths: Sequence[int], skipped: int = 0) -> Tape:
        """Return a tape for rows of these lengths that all look back on `skipped` tokens."""
        spans = [self._span([skipped], skipped, 0)] if skipped else []
        spans.append(self._span(lengths, max(lengths) + -max(lengths) % ROUND, skipped))
        new = Tape(spans, self.memory, self.brief)
        kept = self.tapes.pop(new.shape, None)
        if kept is None:
            return new
        for span, other in zip(kept.spans, spans, strict=True):
            span.aim(other)
        return kept

    def _span(self, lengths: Sequence[int], length: int, skipped: int) -> Span:
        rows = len(lengths)
        place = torch.arange(skipped, skipped + length)[None]
        like = self.layers[0].into.linears[0].weight
        cos, sin = self.body.rotary_emb(like, place)
        half = self.width // 2
        angles = cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous()
        real = back = None
        own = [length] * rows
        if sum(lengths) < (1 - _PADDED) * rows * length:
            own = _filled(lengths, skipped, length)
            there = torch.arange(length) < torch.tensor(own)[:, None]
            real = there.flatten().nonzero()[:, 0]
            back = there.flatten().cumsum(0).sub_(1).clamp_min_(0)
        starts = [skipped + before for before in [0, *accumulate(own)][:rows]]
        at = slice(skipped, skipped + sum(own))
        return Span(rows, length, skipped, at, angles, starts, real, back)

    def _forward(self, layer: Layer, x: Any, tape: Tape) -> Any:
        kept = {"x": x}
        kept["n1"], kept["f1"] = layer.first.forward(x, tape)
        (kept["q"], kept["k"], kept["v"]), kept["into"] = layer.into.forward(kept["n1"], tape)
        q = self._normed(kept, "q", layer.q_norm, tape)
        k = self._normed(kept, "k", layer.k_norm, tape)
        kept["ctx"] = tape.take(q.shape, q.dtype)
        past = None
        for span in tape.spans:
            flat = [padded(part[span.at], span, tape) for part in (q, k, kept["v"])]
            span.held.append(self._place(flat, span, past, tape))
            self._attend(layer, span, kept["ctx"][span.at], tape)
            past = span.held[-1]
        tape.layers.append(kept)
        (kept["y"],), kept["out"] = layer.out.forward(kept["ctx"], tape, x)
        kept["n2"], kept["f2"] = layer.second.forward(kept["y"], tape)
        (kept["g"], kept["u"]), kept["up"] = layer.up.forward(kept["n2"], tape)
        kept["h"] = tape.take(kept["g"].shape, kept["g"].dtype)
        kernels.gate(kept["g"], kept["u"], kept["h"], tape.do)
        (out,), kept["down"] = layer.down.forward(kept["h"], tape, kept["y"])
        return out

    def _place(
        self, flat: Sequence[Any], span: Span, past: dict[str, Any] | None, tape: Tape
    ) -> dict[str, Any]:
        """Turn queries and keys by their positions; lay keys and values behind the prompt's."""
        (q, k, v), skipped = flat, span.skipped
        shape = (self.kept, span.rows, skipped + span.length, self.width)
        keys, values = tape.take(shape, k.dtype), tape.take(shape, k.dtype)
        if past:
            tape.do(keys[:, :, :skipped].copy_, past["keys"])
            tape.do(values[:, :, :skipped].copy_, past["values"])
        kernels.turn(k, span.angles, skipped, keys[:, :, None], tape.do)
        tape.do(values[:, :, None, skipped:].copy_, self._heads(v, span, 1))
        grouped = (self.kept, span.rows, self.group, span.length, self.width)
        turned = tape.take(grouped, k.dtype)
        kernels.turn(q, span.angles, 0, turned, tape.do)
        return {"keys": keys, "values": values, "turned": turned}

    def _normed(self, kept: dict[str, Any], name: str, norm: Norm | None, tape: Tape) -> Any:
        if norm is None:
            return kept[name]
        done, kept[f"{name}_factor"] = norm.forward(kept[name].view(-1, self.width), tape)
        return done.view(kept[name].shape)

    def _heads(self, flat: Any, span: Span, group: int) -> Any:
        """Return [rows · length, heads · width] by head: [kept, rows, group, length, width]."""
        shape = (span.rows, span.length, self.kept, group, self.width)
        return flat.view(shape).permute(2, 0, 3, 1, 4)

    def _weights(self, scale: float, turned: Any, keys: Any, tape: Tape) -> Any:
        """Return softmax(s · q kᵀ) of one block of queries, [kept · rows, queries, keys].

        Of the block's queries the last sees all keys, the one before it all but the last. Scores
        are rounded as the model's own are: the gradient is as near that of an fp32 run (FINDINGS).
        """
        packed, block, count = tape.flat(turned), turned.shape[3], keys.shape[2]
        store = tape.take if count <= _KEPT else tape.lend
        scores = store((*packed.shape[:2], count), packed.dtype)
        tape.do(torch.bmm, packed, keys.flatten(0, 1).transpose(1, 2), out=scores)
        weigh(scores[None], None, None, (1, block, count, 0, 1), scale, tape.do)
        return scores

    def _blocks(self, span: Span) -> list[tuple[slice, int]]:
        """Return for each block of queries: which, and how many keys its last one sees."""
        starts = range(0, span.length, _BLOCK)
        stops = [min(start + _BLOCK, span.length) for start in starts]
        return [(slice(a, b), span.skipped + b) for a, b in zip(starts, stops, strict=True)]

    def _attend(self, layer: Layer, span: Span, out: Any, tape: Tape) -> None:
        """Write what the span's queries see into `out` [its tokens, heads · width]."""
        held = span.held[-1]
        keys, values, held["p"] = held["keys"], held["values"], []
        ctx = tape.roomy(out, span)
        seen = self._heads(ctx, span, self.group)
        for block, count in self._blocks(span):
            mark = tape.brief.at
            turned = held["turned"][:, :, :, block]
            weights = self._weights(layer.scale, turned, keys[:, :, :count], tape)
            tape.product(weights, values[:, :, :count].flatten(0, 1), seen[:, :, :, block])
            held["p"].append(weights if count <= _KEPT else None)
            tape.brief.at = mark
        tape.packed(ctx, span, out)

    def _backward(self, number: int, flows: Sequence[Any], tape: Tape) -> None:
        """Write the gradient of a layer's input into the second of `flows`, from its output's."""
        (dx, out), layer, kept = flows, self.layers[number], tape.layers[number]
        dx = self._backward_mlp(layer, kept, dx, tape)
        dctx = layer.out.backward([dx], (kept["ctx"], kept["out"]), tape)
        flat = [tape.lent(kept[name]) for name in "qkv"]
        sent = None  # what the rows' attention sends to the keys and values of the prompt
        for span in reversed(tape.spans):
            places = [part[span.at] for part in (*flat, dctx)]
            sent = self._backward_attention(number, span, places, sent, tape)
        dq = self._unnormed(kept, "q", layer.q_norm, flat[0], tape)
        dk = self._unnormed(kept, "k", layer.k_norm, flat[1], tape)
        into = layer.into.backward([dq, dk, flat[2]], (kept["n1"], kept["into"]), tape)
        layer.first.backward(into, (kept["x"], kept["f1"]), dx, out, tape)

    def _backward_mlp(self, layer: Layer, kept: dict[str, Any], dx: Any, tape: Tape) -> Any:
        """Return the gradient at the residual between attention and MLP."""
        dh = layer.down.backward([dx], (kept["h"], kept["down"]), tape)
        dg, du = kernels.gate_back(kept["g"], kept["u"], dh, kept["h"], tape.do)
        dn2 = layer.up.backward([dg, du], (kept["n2"], kept["up"]), tape)
        return layer.second.backward(dn2, (kept["y"], kept["f2"]), dx, tape.lent(dx), tape)

    def _backward_attention(
        self, number: int, span: Span, places: Sequence[Any], sent: Any, tape: Tape
    ) -> Any:
        """Write a span's gradients of q, k and v; return those of the prompt's keys and values.

        `places` are the span's tokens of dq, dk, dv (written) and dctx; `sent` is what rows that
        look back on the span sent to its keys and values. With P the attention weights and
        dP = dO Vᵀ: dS = P · (dP - Σ P · dP). The last block of queries sees all keys: it writes
        their gradient, the blocks before it add to that.
        """
        (*_, dctx), held, scale = places, span.held[number], self.layers[number].scale
        dq, dk, dv = (tape.lent(held[name]) for name in ("turned", "keys", "values"))
        dout = self._heads(spread(dctx, span, tape), span, self.group)
        blocks = list(zip(self._blocks(span), held["p"], strict=True))
        for (block, count), kept in reversed(blocks):
            mark, more = tape.brief.at, block.stop < span.length
            turned, keys = held["turned"][:, :, :, block], held["keys"][:, :, :count]
            weights = self._weights(scale, turned, keys, tape) if kept is None else kept
            packed, asked = tape.flat(dout[:, :, :, block]), tape.flat(turned)
            values = held["values"][:, :, :count].flatten(0, 1)
            slopes = tape.lent(weights)
            tape.do(torch.bmm, packed, values.transpose(1, 2), out=slopes)
            kernels.score_slopes(weights, slopes, scale, tape.do)
            tape.product(slopes, keys.flatten(0, 1), dq[:, :, :, block])
            tape.product(slopes.transpose(1, 2), asked, dk[:, :, :count], more)
            tape.product(weights.transpose(1, 2), packed, dv[:, :, :count], more)
            tape.brief.at = mark
        for own, other in zip((dk, dv), sent or (), strict=False):
            tape.do(own.add_, other)
        self._turned_back((dq, dk, dv), places, span, tape)
        return self._sent((dk, dv), span.skipped, tape)

    def _turned_back(self, slopes: Any, places: Sequence[Any], span: Span, tape: Tape) -> None:
        """Write gradients by head where the linear layers look for them."""
        dq, dk, dv = slopes
        wide = [tape.roomy(flat, span) for flat in places[:3]]
        kernels.turn_back(dq, span.angles, 0, wide[0], tape.do)
        kernels.turn_back(dk[:, :, None], span.angles, span.skipped, wide[1], tape.do)
        tape.do(self._heads(wide[2], span, 1).copy_, dv[:, :, None, span.skipped :])
        for roomy, flat in zip(wide, places, strict=False):
            tape.packed(roomy, span, flat)

    def _sent(self, slopes: Sequence[Any], skipped: int, tape: Tape) -> Any:
        """Return the sums over rows of what the keys and values of the prompt are sent."""
        if not skipped:
            return None
        wide, shape = wide_of(slopes[0].dtype), (self.kept, 1, skipped, self.width)
        sums = [tape.lend(shape, wide) for _ in slopes]
        for total, own in zip(sums, slopes, strict=True):
            tape.do(torch.sum, own[:, :, :skipped], 1, keepdim=True, dtype=wide, out=total)
        return sums

    def _unnormed(
        self, kept: dict[str, Any], name: str, norm: Norm | None, flat: Any, tape: Tape
    ) -> Any:
        if norm is None:
            return flat
        x, slope = kept[name].view(-1, self.width), flat.view(-1, self.width)
        given = (x, kept[f"{name}_factor"])
        return norm.backward(slope, given, None, tape.lent(x), tape).view(flat.shape)


def _filled(lengths: Sequence[int], skipped: int, length: int) -> list[int]:
    """Return how many places of each row are read: so much padding that all tokens are a multiple.

    No real token sees padding on the right, and no gradient comes from it.
    """
    spare, own = -(skipped + sum(lengths)) % (2 * ROUND), list(lengths)
    for n, count in enumerate(lengths):
        own[n] += min(spare, length - count)
        spare -= own[n] - count
    return own


def open_stack(module: Any) -> Stack | None:
    """Return the stack of a causal language model whose layers this file knows, else None.

    It must run on a CPU and require no gradient but that of LoRA matrices of one scale on its
    linear layers.
    """
    if not known(module):
        return None
    try:
        stack = Stack(module.get_decoder())
    except AttributeError:
        return None
    trained = {id(weight) for weight in module.parameters() if weight.requires_grad}
    same = trained == {id(weight) for weight in stack.adapters.weights}
    return stack if same and len(stack.adapters.scales) == 1 else None


def _fans(layer: Any, team: Team | None) -> list[Any]:
    attention, mlp = layer.self_attn, layer.mlp
    reads = [
        (attention.q_proj, attention.k_proj, attention.v_proj),
        (attention.o_proj,),
        (mlp.gate_proj, mlp.up_proj),
        (mlp.down_proj,),
    ]
    return [Plain(team, *layers) if team else Fan(*layers) for layers in reads]


def _layer(layer: Any, team: Team | None) -> Layer:
    attention, fans = layer.self_attn, _fans(layer, team)
    norms = [layer.input_layernorm, layer.post_attention_layernorm]
    norms += [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    given: list[Any] = [*fans, *map(open_norm, norms), float(attention.scaling)]
    return Layer(*given)
