"""The decoder layers of the Llama family with their gradient written out, for LoRA on a CPU.

What autograd costs here: small operations on fresh memory, adapters in another precision, and an
attention kernel that is slow at a few hundred tokens. This file reads the layers' own weights,
copies none, keeps what the backward pass needs in memory that is used again, and is taken only
where `prove` finds the loss and gradient that autograd finds. Knows no optimizer and no task.

Shapes: N tokens, row after row; padding on the right is left out of them where there is much, and
only attention sees it: heads are [kept heads, rows, group, length, width].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch

from tuneworthy.models._decoder import known
from tuneworthy.training.pieces import Arena, Fan, Norm, open_norm, wide_of
from tuneworthy.training.relay import Relay

_BLOCK = 128  # queries attended to at once: their scores stay in the cache of a core
_PADDED = 0.08  # share of padding above which leaving it out is worth the copies
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
class Tape:
    """What one forward pass left for its backward pass; `keys` and `values` by layer.

    `relay` joins a prefix with the parts of its rows; this is part number `part`. `real` are the
    places of the N tokens among rows · length, `back` for each of those its token (None:
    all places are read); `starts` is where each row begins among the N.
    """

    rows: int
    length: int
    cos: Any
    sin: Any
    mask: list[Any]
    memory: Arena
    past: Tape | None
    relay: Relay | None
    part: int
    real: Any = None
    back: Any = None
    starts: list[int] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        """Return how many tokens of a prefix every row looks back on."""
        return self.past.length if self.past else 0


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
        self.spare: dict[bool, list[Arena]] = {False: [], True: []}  # for one row, for many
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

    def forward(self, ids: Any, tape: Tape, *, whole: bool = True) -> Any:
        """Return the last layer's output, [N, hidden]; ids are [rows, length], padded on the right.

        Where `whole` is false the last layer stops at its keys and values: a prefix needs no more.
        """
        x = self.body.embed_tokens(_packed(ids.flatten(), tape))
        for number, layer in enumerate(self.layers):
            stop = not whole and number == len(self.layers) - 1
            x = self._forward(layer, x, tape, stop)
            if tape.past is None and tape.relay:
                tape.relay.ready[number].set()
        return x

    def backward(self, dx: Any, tape: Tape, slopes: Any) -> None:
        """Write the adapters' gradient into the flat `slopes` [size].

        `dx` is the gradient of the last layer's output, None for a prefix: it receives that of its
        keys and values from the rows.
        """
        for number in reversed(range(len(self.layers))):
            given = tape.relay.collect(number) if tape.relay and tape.past is None else None
            dx, sent = self._backward(number, dx, tape, slopes, given)
            if tape.relay and sent:
                tape.relay.send(number, tape.part, sent)

    def release(self, tape: Tape) -> None:
        """Give the memory of a tape back."""
        tape.memory.at = (0, 0)
        self.spare[tape.rows > 1].append(tape.memory)

    def tape(self, lengths: Sequence[int], past: Tape | None, part: int = 0) -> Tape:
        """Return an empty tape for rows of these lengths that all look back on `past`, if any."""
        rows, length = len(lengths), max(lengths)
        skipped = past.length if past else 0
        place = torch.arange(skipped, skipped + length)[None]
        like = self.layers[0].into.linears[0].weight
        cos, sin = (table[0, :, : self.width // 2] for table in self.body.rotary_emb(like, place))
        wide = wide_of(like.dtype)
        masks = []
        for start in range(0, length, _BLOCK):
            stop = min(start + _BLOCK, length)
            future = torch.ones(stop - start, stop, dtype=torch.bool).triu_(start + 1)
            masks.append(torch.zeros(future.shape, dtype=wide).masked_fill_(future, float("-inf")))
        memory = self.spare[rows > 1].pop() if self.spare[rows > 1] else Arena()
        relay = past.relay if past else None
        tape = Tape(rows, length, cos, sin, masks, memory, past, relay, part)
        if sum(lengths) < (1 - _PADDED) * rows * length:
            there = torch.arange(length) < torch.tensor(lengths)[:, None]
            tape.real = there.flatten().nonzero()[:, 0]
            tape.back = there.flatten().cumsum(0).sub_(1).clamp_min_(0)
        own = [length] * rows if tape.real is None else lengths
        tape.starts = [0, *accumulate(own)][:rows]
        return tape

    def _forward(self, layer: Layer, x: Any, tape: Tape, stop: bool) -> Any:
        memory, kept = tape.memory, {"x": x}
        kept["n1"], kept["f1"] = layer.first.forward(x, memory)
        (kept["q"], kept["k"], kept["v"]), kept["into"] = layer.into.forward(kept["n1"], memory)
        self._place(layer, kept, tape, stop)
        tape.layers.append(kept)
        if stop:
            return None
        kept["ctx"] = self._attend(layer, kept, tape)
        (kept["y"],), kept["out"] = layer.out.forward(kept["ctx"], memory, x)
        kept["n2"], kept["f2"] = layer.second.forward(kept["y"], memory)
        (kept["g"], kept["u"]), kept["up"] = layer.up.forward(kept["n2"], memory)
        kept["act"] = memory.take(kept["g"].shape, kept["g"].dtype)
        torch.ops.aten.silu.out(kept["g"], out=kept["act"])
        (out,), kept["down"] = layer.down.forward(kept["act"] * kept["u"], memory, kept["y"])
        return out

    def _place(self, layer: Layer, kept: dict[str, Any], tape: Tape, stop: bool) -> None:
        """Turn queries and keys by their positions; lay keys and values behind the prefix's."""
        number, skipped = len(tape.layers), tape.skipped
        shape = (self.kept, tape.rows, skipped + tape.length, self.width)
        kind = kept["k"].dtype
        keys, values = tape.memory.take(shape, kind), tape.memory.take(shape, kind)
        if tape.past:
            if tape.relay:
                tape.relay.wait(number)
            keys[:, :, :skipped] = tape.past.keys[number]
            values[:, :, :skipped] = tape.past.values[number]
        k = self._normed(kept, "k", layer.k_norm, tape.memory)
        self._turn(self._heads(_padded(k, tape), tape, 1), keys[:, :, None, skipped:], tape)
        values[:, :, None, skipped:] = self._heads(_padded(kept["v"], tape), tape, 1)
        if not stop:
            q = self._normed(kept, "q", layer.q_norm, tape.memory)
            grouped = (self.kept, tape.rows, self.group, tape.length, self.width)
            kept["turned"] = tape.memory.take(grouped, kind)
            q = _padded(q, tape)
            self._turn(self._heads(q, tape, self.group), kept["turned"], tape)
        tape.keys.append(keys)
        tape.values.append(values)

    def _normed(self, kept: dict[str, Any], name: str, norm: Norm | None, memory: Arena) -> Any:
        if norm is None:
            return kept[name]
        done, kept[f"{name}_factor"] = norm.forward(kept[name].view(-1, self.width), memory)
        return done.view(kept[name].shape)

    def _heads(self, flat: Any, tape: Tape, group: int) -> Any:
        """Return [rows · length, heads · width] by head: [kept, rows, group, length, width]."""
        shape = (tape.rows, tape.length, self.kept, group, self.width)
        return flat.view(shape).permute(2, 0, 3, 1, 4)

    def _turn(self, x: Any, out: Any, tape: Tape, back: int = 1) -> None:
        """Rotate halves by position (RoPE); `back` -1 rotates back, which is its gradient."""
        half = self.width // 2
        one, two = x[..., :half], x[..., half:]
        torch.mul(one, tape.cos, out=out[..., :half])
        torch.mul(two, tape.cos, out=out[..., half:])
        out[..., :half].addcmul_(two, tape.sin, value=-back)
        out[..., half:].addcmul_(one, tape.sin, value=back)

    def _weights(self, layer: Layer, turned: Any, keys: Any, mask: Any) -> Any:
        """Return softmax(s · q kᵀ + mask) of one block of queries, [kept · rows, queries, keys].

        The scores are taken in fp32 or wider: in bf16 a score of 20 is off by .05.
        """
        wide = mask.dtype
        packed = (turned.to(wide) * layer.scale).flatten(2, 3).flatten(0, 1)
        scores = torch.bmm(packed, keys.to(wide).flatten(0, 1).transpose(1, 2))
        own = mask.shape[1]
        scores.view(len(scores), self.group, len(mask), -1)[..., -own:].add_(mask)
        return torch.softmax(scores, -1).to(turned.dtype)

    def _blocks(self, tape: Tape) -> list[tuple[slice, int, Any]]:
        """Return for each block of queries: which, how many keys it sees, and its mask."""
        found = []
        for number, mask in enumerate(tape.mask):
            start = number * _BLOCK
            found.append((slice(start, start + len(mask)), tape.skipped + mask.shape[1], mask))
        return found

    def _attend(self, layer: Layer, kept: dict[str, Any], tape: Tape) -> Any:
        keys, values = tape.keys[-1], tape.values[-1]
        places = tape.rows * tape.length
        ctx = tape.memory.take((places, self.kept * self.group * self.width), keys.dtype)
        seen = self._heads(ctx, tape, self.group)
        kept["p"] = []
        for block, count, mask in self._blocks(tape):
            turned = kept["turned"][:, :, :, block]
            weights = self._weights(layer, turned, keys[:, :, :count], mask)
            found = torch.bmm(weights, values[:, :, :count].flatten(0, 1))
            seen[:, :, :, block] = found.view(*turned.shape)
            kept["p"].append(weights if keys.shape[2] <= _KEPT else None)
        return _packed(ctx, tape)

    def _backward(
        self, number: int, dx: Any, tape: Tape, slopes: Any, given: Any
    ) -> tuple[Any, Any]:
        layer, kept = self.layers[number], tape.layers[number]
        mark, memory = tape.memory.at, tape.memory
        kind, n1 = kept["n1"].dtype, kept["n1"]
        held = (self.kept, tape.rows, tape.skipped + tape.length, self.width)
        dk, dv = (torch.zeros(held, dtype=kind) for _ in range(2))
        if given is not None:
            dk += given[0].to(kind)
            dv += given[1].to(kind)
        dq = None
        if dx is not None:
            dx = self._backward_mlp(layer, kept, dx, slopes, memory)
            dctx = memory.take(kept["ctx"].shape, kind)
            layer.out.backward([dx], kept["ctx"], kept["out"], slopes, dctx)
            dq = self._backward_attention(layer, kept, dctx, (dk, dv), (number, tape))
        own = slice(tape.skipped, None)
        shape = (tape.rows * tape.length, self.kept * self.width)
        flat, flat_v = (memory.take(shape, kind) for _ in range(2))
        self._turn(dk[:, :, None, own], self._heads(flat, tape, 1), tape, -1)
        flat = self._unnormed(kept, "k", layer.k_norm, _packed(flat, tape))
        self._heads(flat_v, tape, 1).copy_(dv[:, :, None, own])
        flat_v = _packed(flat_v, tape)
        into = memory.take(n1.shape, kind)
        layer.into.backward([dq, flat, flat_v], n1, kept["into"], slopes, into)
        out = torch.empty_like(n1)
        layer.first.backward(into, kept["x"], kept["f1"], dx, out)
        memory.at = mark
        past = None
        if tape.past:
            wide = wide_of(kind)
            past = tuple(d[:, :, : tape.skipped].sum(1, keepdim=True, dtype=wide) for d in (dk, dv))
        return out, past

    def _backward_mlp(
        self, layer: Layer, kept: dict[str, Any], dx: Any, slopes: Any, memory: Arena
    ) -> Any:
        """Return the gradient at the residual between attention and MLP."""
        g, u, act = kept["g"], kept["u"], kept["act"]
        dh = memory.take(g.shape, g.dtype)
        layer.down.backward([dx], act * u, kept["down"], slopes, dh)
        du = act.mul_(dh)
        dg = torch.ops.aten.silu_backward(dh.mul_(u), g)
        dn2 = memory.take(kept["n2"].shape, g.dtype)
        layer.up.backward([dg, du], kept["n2"], kept["up"], slopes, dn2)
        out = memory.take(dn2.shape, g.dtype)
        return layer.second.backward(dn2, kept["y"], kept["f2"], dx, out)

    def _backward_attention(
        self,
        layer: Layer,
        kept: dict[str, Any],
        dctx: Any,
        slopes: tuple[Any, Any],
        at: tuple[int, Tape],
    ) -> Any:
        """Add to the gradients of keys and values; return that of the queries, [N, heads · width].

        With P the attention weights and D the row sums of dO · O: dS = P · (dO Vᵀ - D).
        """
        (dk, dv), (number, tape) = slopes, at
        keys, values = tape.keys[number], tape.values[number]
        dout = self._heads(_spread(dctx, tape), tape, self.group)
        both = (dctx * kept["ctx"]).view(len(dctx), -1, self.width)
        total = _spread(both.sum(-1, dtype=wide_of(dctx.dtype)), tape)
        total = total.view(tape.rows, tape.length, self.kept, self.group)
        total = total.permute(2, 0, 3, 1).unsqueeze(-1)
        dq = torch.empty_like(kept["turned"])
        for (block, count, mask), weights in zip(self._blocks(tape), kept["p"], strict=True):
            turned = kept["turned"][:, :, :, block]
            if weights is None:
                weights = self._weights(layer, turned, keys[:, :, :count], mask)
            packed = dout[:, :, :, block].flatten(2, 3).flatten(0, 1)
            seen, known = values[:, :, :count].flatten(0, 1), keys[:, :, :count].flatten(0, 1)
            dweights = torch.bmm(packed, seen.transpose(1, 2))
            dweights.sub_(total[:, :, :, block].reshape(*dweights.shape[:2], 1).to(dctx.dtype))
            dscores = dweights.mul_(weights).mul_(layer.scale)
            dq[:, :, :, block] = torch.bmm(dscores, known).view(turned.shape)
            asked = turned.flatten(2, 3).flatten(0, 1)
            rows = (self.kept, tape.rows, count, self.width)
            dk[:, :, :count] += torch.bmm(dscores.transpose(1, 2), asked).view(rows)
            dv[:, :, :count] += torch.bmm(weights.transpose(1, 2), packed).view(rows)
        flat = dctx.new_empty(tape.rows * tape.length, dctx.shape[1])
        self._turn(dq, self._heads(flat, tape, self.group), tape, -1)
        return self._unnormed(kept, "q", layer.q_norm, _packed(flat, tape))

    def _unnormed(self, kept: dict[str, Any], name: str, norm: Norm | None, flat: Any) -> Any:
        if norm is None:
            return flat
        x, slope = kept[name].view(-1, self.width), flat.view(-1, self.width)
        out = torch.empty_like(x)
        return norm.backward(slope, x, kept[f"{name}_factor"], None, out).view(flat.shape)


def _packed(padded: Any, tape: Tape) -> Any:
    """Return the real tokens of [rows · length, ...]: [N, ...]."""
    return padded if tape.real is None else padded.index_select(0, tape.real)


def _padded(flat: Any, tape: Tape) -> Any:
    """Return [N, ...] at [rows · length, ...]; padding holds some token: no real one sees it."""
    return flat if tape.real is None else flat.index_select(0, tape.back)


def _spread(flat: Any, tape: Tape) -> Any:
    """Return the same with zeros as padding: a gradient must not come from there."""
    if tape.real is None:
        return flat
    return flat.new_zeros(len(tape.back), *flat.shape[1:]).index_copy_(0, tape.real, flat)


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
