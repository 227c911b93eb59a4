"""The decoder layers of the Llama family with their gradient written out, for LoRA on a CPU.

What autograd costs here: small operations on fresh memory, adapters in another precision, and an
attention kernel that is slow at a few hundred tokens. This file reads the layers' own weights,
copies none, keeps what the backward pass needs in memory that is used again, and is taken only
where `prove` finds the loss and gradient that autograd finds. Knows no optimizer and no task.

Shapes: N tokens: those of a shared prompt, then the rows', row after row; every linear layer sees
them as one matrix. Padding on the right is left out of them where there is much, and only
attention sees it: heads are [kept heads, rows, group, length, width].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch

from tuneworthy.models._compiled import wide_of
from tuneworthy.models._decoder import known
from tuneworthy.models._kernels import weigh
from tuneworthy.training import kernels
from tuneworthy.training.pieces import Arena, Fan, Norm, open_norm

_BLOCK = 128  # queries attended to at once: their scores stay in the cache of a core
_PADDED = 0.08  # share of padding above which leaving it out is worth the copies
ROUND = 8  # lengths are multiples: oneDNN compiles every product of a new one, and keeps few
_KEPT = 512  # with more keys, attention weights are computed again instead of kept


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


@dataclass
class Tape:
    """What one forward pass left for its backward pass; the shared prompt, if any, comes first."""

    spans: list[Span]
    memory: Arena
    layers: list[dict[str, Any]] = field(default_factory=list)


class Stack:
    """All layers of one model, its adapters' places in one flat gradient, and spare memory."""

    def __init__(self, body: Any) -> None:
        config = body.config
        self.body = body
        self.kept: int = config.num_key_value_heads
        self.group: int = config.num_attention_heads // self.kept
        self.width: int = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        self.layers = [_layer(layer) for layer in body.layers]
        self.weights: list[Any] = []
        self.seconds: list[Any] = []
        self.size = 0
        self.spare: list[Arena] = []
        for fan in (fan for layer in self.layers for fan in layer.fans):
            self.size, firsts, seconds = fan.place(self.size)
            self.weights += [*firsts, *seconds]
            self.seconds += seconds

    def refresh(self) -> None:
        """Read the adapters' present weights, once a step."""
        for layer in self.layers:
            for fan in layer.fans:
                fan.refresh()

    def split(self, flat: Any) -> list[Any]:
        """Return the flat gradient as one view a weight, in the order of `weights`."""
        sizes = [weight.numel() for weight in self.weights]
        parts = zip(flat.split(sizes), self.weights, strict=True)
        return [part.view(weight.shape) for part, weight in parts]

    def forward(self, ids: Sequence[Any], tape: Tape) -> Any:
        """Return the last layer's output, [N, hidden].

        `ids` are [rows, length] for each span, padded on the right.
        """
        given = [_packed(i.flatten(), span) for i, span in zip(ids, tape.spans, strict=True)]
        x = self.body.embed_tokens(torch.cat(given))
        for layer in self.layers:
            x = self._forward(layer, x, tape)
        return x

    def backward(self, dx: Any, tape: Tape, slopes: Any) -> None:
        """Write the adapters' gradient into the flat `slopes` [size].

        `dx` [N, hidden] is the gradient of the last layer's output.
        """
        for number in reversed(range(len(self.layers))):
            dx = self._backward(number, dx, tape, slopes)

    def release(self, tape: Tape) -> None:
        """Give the memory of a tape back."""
        tape.memory.at = (0, 0)
        self.spare.append(tape.memory)

    def tape(self, lengths: Sequence[int], skipped: int = 0) -> Tape:
        """Return an empty tape for rows of these lengths that all look back on `skipped` tokens."""
        spans = [self._span([skipped], skipped, 0)] if skipped else []
        spans.append(self._span(lengths, max(lengths) + -max(lengths) % ROUND, skipped))
        return Tape(spans, self.spare.pop() if self.spare else Arena())

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
        memory, kept = tape.memory, {"x": x}
        kept["n1"], kept["f1"] = layer.first.forward(x, memory)
        (kept["q"], kept["k"], kept["v"]), kept["into"] = layer.into.forward(kept["n1"], memory)
        q = self._normed(kept, "q", layer.q_norm, memory)
        k = self._normed(kept, "k", layer.k_norm, memory)
        kept["ctx"] = memory.take(q.shape, q.dtype)
        past = None
        for span in tape.spans:
            flat = [_padded(part[span.at], span) for part in (q, k, kept["v"])]
            span.held.append(self._place(flat, span, past, memory))
            self._attend(layer, span, kept["ctx"][span.at], memory)
            past = span.held[-1]
        tape.layers.append(kept)
        (kept["y"],), kept["out"] = layer.out.forward(kept["ctx"], memory, x)
        kept["n2"], kept["f2"] = layer.second.forward(kept["y"], memory)
        (kept["g"], kept["u"]), kept["up"] = layer.up.forward(kept["n2"], memory)
        kept["h"] = memory.take(kept["g"].shape, kept["g"].dtype)
        kernels.gate(kept["g"], kept["u"], kept["h"])
        (out,), kept["down"] = layer.down.forward(kept["h"], memory, kept["y"])
        return out

    def _place(
        self, flat: Sequence[Any], span: Span, past: dict[str, Any] | None, memory: Arena
    ) -> dict[str, Any]:
        """Turn queries and keys by their positions; lay keys and values behind the prompt's."""
        (q, k, v), skipped = flat, span.skipped
        shape = (self.kept, span.rows, skipped + span.length, self.width)
        keys, values = memory.take(shape, k.dtype), memory.take(shape, k.dtype)
        if past:
            keys[:, :, :skipped], values[:, :, :skipped] = past["keys"], past["values"]
        kernels.turn(k, span.angles, skipped, keys[:, :, None])
        values[:, :, None, skipped:] = self._heads(v, span, 1)
        grouped = (self.kept, span.rows, self.group, span.length, self.width)
        turned = memory.take(grouped, k.dtype)
        kernels.turn(q, span.angles, 0, turned)
        return {"keys": keys, "values": values, "turned": turned}

    def _normed(self, kept: dict[str, Any], name: str, norm: Norm | None, memory: Arena) -> Any:
        if norm is None:
            return kept[name]
        done, kept[f"{name}_factor"] = norm.forward(kept[name].view(-1, self.width), memory)
        return done.view(kept[name].shape)

    def _heads(self, flat: Any, span: Span, group: int) -> Any:
        """Return [rows · length, heads · width] by head: [kept, rows, group, length, width]."""
        shape = (span.rows, span.length, self.kept, group, self.width)
        return flat.view(shape).permute(2, 0, 3, 1, 4)

    def _weights(self, layer: Layer, turned: Any, keys: Any) -> Any:
        """Return softmax(s · q kᵀ) of one block of queries, [kept · rows, queries, keys].

        Of the block's queries the last sees all keys, the one before it all but the last. Scores
        are rounded as the model's own are: the gradient is as near that of an fp32 run (FINDINGS).
        """
        packed, block, count = turned.flatten(2, 3).flatten(0, 1), turned.shape[3], keys.shape[2]
        scores = torch.bmm(packed, keys.flatten(0, 1).transpose(1, 2))
        weigh(scores[None], None, None, (1, block, count, 0, 1), layer.scale)
        return scores

    def _blocks(self, span: Span) -> list[tuple[slice, int]]:
        """Return for each block of queries: which, and how many keys its last one sees."""
        starts = range(0, span.length, _BLOCK)
        stops = [min(start + _BLOCK, span.length) for start in starts]
        return [(slice(a, b), span.skipped + b) for a, b in zip(starts, stops, strict=True)]

    def _attend(self, layer: Layer, span: Span, out: Any, memory: Arena) -> None:
        """Write what the span's queries see into `out` [its tokens, heads · width]."""
        held = span.held[-1]
        keys, values, held["p"] = held["keys"], held["values"], []
        ctx = out
        if span.real is not None:
            ctx = memory.take((span.rows * span.length, out.shape[1]), out.dtype)
        seen = self._heads(ctx, span, self.group)
        for block, count in self._blocks(span):
            turned = held["turned"][:, :, :, block]
            weights = self._weights(layer, turned, keys[:, :, :count])
            found = torch.bmm(weights, values[:, :, :count].flatten(0, 1))
            seen[:, :, :, block] = found.view(*turned.shape)
            held["p"].append(weights if keys.shape[2] <= _KEPT else None)
        if span.real is not None:
            torch.index_select(ctx, 0, span.real, out=out)

    def _backward(self, number: int, dx: Any, tape: Tape, slopes: Any) -> Any:
        """Return the gradient of the layer's input, [N, hidden]."""
        layer, kept = self.layers[number], tape.layers[number]
        mark, memory, n1 = tape.memory.at, tape.memory, kept["n1"]
        dx = self._backward_mlp(layer, kept, dx, slopes, memory)
        dctx = memory.take(kept["ctx"].shape, n1.dtype)
        layer.out.backward([dx], kept["ctx"], kept["out"], slopes, dctx)
        flat = [memory.take(kept[name].shape, n1.dtype) for name in "qkv"]
        sent = None  # what the rows' attention sends to the keys and values of the prompt
        for span in reversed(tape.spans):
            places = [part[span.at] for part in (*flat, dctx)]
            sent = self._backward_attention(layer, span.held[number], span, places, sent)
        dq = self._unnormed(kept, "q", layer.q_norm, flat[0])
        dk = self._unnormed(kept, "k", layer.k_norm, flat[1])
        into = memory.take(n1.shape, n1.dtype)
        layer.into.backward([dq, dk, flat[2]], n1, kept["into"], slopes, into)
        out = torch.empty_like(n1)
        layer.first.backward(into, kept["x"], kept["f1"], dx, out)
        memory.at = mark
        return out

    def _backward_mlp(
        self, layer: Layer, kept: dict[str, Any], dx: Any, slopes: Any, memory: Arena
    ) -> Any:
        """Return the gradient at the residual between attention and MLP."""
        g, u = kept["g"], kept["u"]
        dh = memory.take(g.shape, g.dtype)
        layer.down.backward([dx], kept["h"], kept["down"], slopes, dh)
        dg, du = kernels.gate_back(g, u, dh, kept["h"])
        dn2 = memory.take(kept["n2"].shape, g.dtype)
        layer.up.backward([dg, du], kept["n2"], kept["up"], slopes, dn2)
        out = memory.take(dn2.shape, g.dtype)
        return layer.second.backward(dn2, kept["y"], kept["f2"], dx, out)

    def _backward_attention(
        self, layer: Layer, held: dict[str, Any], span: Span, places: Sequence[Any], sent: Any
    ) -> Any:
        """Write a span's gradients of q, k and v; return those of the prompt's keys and values.

        `places` are the span's tokens of dq, dk, dv (written) and dctx; `sent` is what rows that
        look back on the span sent to its keys and values. With P the attention weights and
        dP = dO Vᵀ: dS = P · (dP - Σ P · dP).
        """
        (dq_flat, dk_flat, dv_flat, dctx), keys = places, held["keys"]
        kind, wide = dctx.dtype, wide_of(dctx.dtype)
        dk, dv = (torch.zeros(keys.shape, dtype=kind) for _ in range(2))
        for own, more in zip((dk, dv), sent or (), strict=False):
            own += more.to(kind)
        dout = self._heads(_spread(dctx, span), span, self.group)
        dq = torch.empty_like(held["turned"])
        for (block, count), weights in zip(self._blocks(span), held["p"], strict=True):
            turned = held["turned"][:, :, :, block]
            if weights is None:
                weights = self._weights(layer, turned, keys[:, :, :count])
            packed = dout[:, :, :, block].flatten(2, 3).flatten(0, 1)
            seen = held["values"][:, :, :count].flatten(0, 1)
            known = keys[:, :, :count].flatten(0, 1)
            dweights = torch.bmm(packed, seen.transpose(1, 2))
            dscores = kernels.score_slopes(weights, dweights, layer.scale)
            dq[:, :, :, block] = torch.bmm(dscores, known).view(turned.shape)
            asked = turned.flatten(2, 3).flatten(0, 1)
            rows = (self.kept, span.rows, count, self.width)
            dk[:, :, :count] += torch.bmm(dscores.transpose(1, 2), asked).view(rows)
            dv[:, :, :count] += torch.bmm(weights.transpose(1, 2), packed).view(rows)
        own = slice(span.skipped, None)
        self._turned_back(dq, dq_flat, span, 0)
        self._turned_back(dk[:, :, None], dk_flat, span, span.skipped)
        flat = dctx.new_empty(span.rows * span.length, dv_flat.shape[1])
        self._heads(flat, span, 1).copy_(dv[:, :, None, own])
        dv_flat.copy_(_packed(flat, span))
        past = slice(None, span.skipped)
        return [d[:, :, past].sum(1, keepdim=True, dtype=wide) for d in (dk, dv)]

    def _turned_back(self, slope: Any, out: Any, span: Span, skip: int) -> None:
        flat = out
        if span.real is not None:
            flat = out.new_empty(span.rows * span.length, out.shape[1])
        kernels.turn_back(slope, span.angles, skip, flat)
        if span.real is not None:
            torch.index_select(flat, 0, span.real, out=out)

    def _unnormed(self, kept: dict[str, Any], name: str, norm: Norm | None, flat: Any) -> Any:
        if norm is None:
            return flat
        x, slope = kept[name].view(-1, self.width), flat.view(-1, self.width)
        out = torch.empty_like(x)
        return norm.backward(slope, x, kept[f"{name}_factor"], None, out).view(flat.shape)


def _filled(lengths: Sequence[int], skipped: int, length: int) -> list[int]:
    """Return how many places of each row are read: so much padding that all tokens are a multiple.

    No real token sees padding on the right, and no gradient comes from it.
    """
    spare, own = -(skipped + sum(lengths)) % (2 * ROUND), list(lengths)
    for n, count in enumerate(lengths):
        own[n] += min(spare, length - count)
        spare -= own[n] - count
    return own


def _packed(padded: Any, span: Span) -> Any:
    """Return the real tokens of [rows · length, ...]: [N, ...]."""
    return padded if span.real is None else padded.index_select(0, span.real)


def _padded(flat: Any, span: Span) -> Any:
    """Return [N, ...] at [rows · length, ...]; padding holds some token: no real one sees it."""
    return flat if span.real is None else flat.index_select(0, span.back)


def _spread(flat: Any, span: Span) -> Any:
    """Return the same with zeros as padding: a gradient must not come from there."""
    if span.real is None:
        return flat
    return flat.new_zeros(len(span.back), *flat.shape[1:]).index_copy_(0, span.real, flat)


def open_stack(module: Any) -> Stack | None:
    """Return the stack of a causal language model whose layers this file knows, else None.

    It must run on a CPU and require no gradient but that of LoRA matrices on its linear layers.
    """
    if not known(module):
        return None
    try:
        stack = Stack(module.get_decoder())
    except AttributeError:
        return None
    trained = {id(weight) for weight in module.parameters() if weight.requires_grad}
    return stack if trained and trained == {id(weight) for weight in stack.weights} else None


def _layer(layer: Any) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    fans = [
        Fan(attention.q_proj, attention.k_proj, attention.v_proj),
        Fan(attention.o_proj),
        Fan(mlp.gate_proj, mlp.up_proj),
        Fan(mlp.down_proj),
    ]
    norms = [layer.input_layernorm, layer.post_attention_layernorm]
    norms += [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    given: list[Any] = [*fans, *map(open_norm, norms), float(attention.scaling)]
    return Layer(*given)
