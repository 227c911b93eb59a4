"""Decoder layers of the Llama family with a hand-written gradient, for LoRA on a CPU.

Autograd's costs here are small operations on freshly allocated memory, adapters in another
precision, and an attention kernel that is slow at a few hundred tokens. This file reads the layers'
own weights without copies, records the calls of a step on a tape that is replayed for every step of
its shape, and is used only if `HandGradient.proved` finds the loss and gradient of autograd. Knows
no optimizer and no task.

Shapes: N tokens: those of a shared prompt, then the rows', row after row; every linear layer reads
them as one matrix. If there is much padding on the right it is left out of them, and only attention
inserts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tuneworthy.core.collector import gc_paused
from tuneworthy.cpu_engine.gemm.thread_pool import ThreadPool, run
from tuneworthy.cpu_engine.read.decoder import is_supported
from tuneworthy.cpu_engine.sizes import ROUND
from tuneworthy.cpu_engine.train import gradient_kernels as kernels
from tuneworthy.cpu_engine.train.adapted_linears import AdaptedLinears, Adapters, Norm, open_norm
from tuneworthy.cpu_engine.train.attention_gradient import Attention
from tuneworthy.cpu_engine.train.pooled_linears import FEW, PooledLinears
from tuneworthy.cpu_engine.train.recorded_step import Arena, RecordedStep, Span

_PADDED = 0.08  # share of padding above which removing it is worth the copies
_ASKED = 64  # likewise for output tokens, or every batch would have a new shape
_TAPES = 16  # recorded steps (shapes) kept


@dataclass
class Layer:
    """One decoder layer: q, k, v · o · gate, up · down, and its norms."""

    into: AdaptedLinears
    out: AdaptedLinears
    up: AdaptedLinears
    down: AdaptedLinears
    first: Norm
    second: Norm
    q_norm: Norm | None
    k_norm: Norm | None
    scale: float

    @property
    def fans(self) -> tuple[AdaptedLinears, ...]:
        """Return the linear layers."""
        return self.into, self.out, self.up, self.down


class Stack:
    """All layers of one model, their adapters, and memory that steps reuse.

    Run a tape forward, then backward, and release it before the next one: all share memory.
    """

    def __init__(self, body: Any) -> None:
        config = body.config
        self.body = body
        kept, heads = config.num_key_value_heads, config.num_attention_heads
        self.width: int = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.attention = Attention(kept, heads // kept, self.width)
        self.team = ThreadPool()
        self.plain = all(fan.fit for layer in body.layers for fan in _fans(layer, self.team))
        self.layers = [_layer(layer, self.team if self.plain else None) for layer in body.layers]
        fans = [fan for layer in self.layers for fan in layer.fans]
        self.adapters = Adapters(fans)
        self.free_step_memory()

    def free_step_memory(self) -> None:
        """Free the memory that steps reuse."""
        self.tapes: dict[tuple[Any, ...], RecordedStep] = {}
        self.memory, self.briefs = Arena(), list[Arena]()
        self.adapters.free_step_memory()

    def forward(self, ids: Sequence[Any], tape: RecordedStep) -> Any:
        """Return the last layer's output for the tokens that the tape outputs, [M, hidden].

        `ids` are [rows, length] for each span, padded on the right.
        """
        spans = zip(ids, tape.spans, strict=True)
        x = self.body.embed_tokens(torch.cat([_read(i, span) for i, span in spans]))
        if tape.out is None:
            with gc_paused():  # recording creates thousands of long-lived objects
                self._write_forward(x, tape)
        tape.x.copy_(x)
        run(tape.there)
        return tape.out

    def backward(self, dx: Any, tape: RecordedStep) -> None:
        """Write the adapters' gradient to its buffers; `dx` [M, hidden] is that of the output."""
        if tape.dx is None:
            with gc_paused():
                self._write_backward(dx, tape)
        tape.dx.copy_(dx)
        run(tape.back)

    def _write_forward(self, x: Any, tape: RecordedStep) -> None:
        self.memory.at = (0, 0)
        tape.x = out = tape.take(x.shape, x.dtype)
        for layer in self.layers:
            tape.brief.at = (0, 0)
            out = self._forward(layer, out, tape)
        tape.out, tape.end = out, self.memory.at

    def _write_backward(self, dx: Any, tape: RecordedStep) -> None:
        self.memory.at = tape.end  # other tapes may have been recorded since
        flows = [tape.take(tape.x.shape, dx.dtype) for _ in range(2)]
        tape.turn(tape.take(dx.shape, dx.dtype))
        dx = tape.dx
        for number in reversed(range(len(self.layers))):
            tape.brief.at = (0, 0)
            self._backward(number, (dx, flows[0]), tape)
            dx = flows[0]
            flows.reverse()

    def release(self, tape: RecordedStep) -> None:
        """Keep a tape for the next step of its shape; drop the least recently used one."""
        self.tapes[tape.shape] = tape
        if len(self.tapes) > _TAPES:
            del self.tapes[next(iter(self.tapes))]

    def tape(self, lengths: Sequence[int], asked: Sequence[int], skipped: int = 0) -> RecordedStep:
        """Return a tape for rows of these lengths that all attend to `skipped` prompt tokens.

        It outputs the last `asked` tokens of each row; other tokens may follow in its output.
        """
        spans = [self._span([skipped], skipped, 0)] if skipped else []
        spans.append(self._span(lengths, max(lengths) + -max(lengths) % ROUND, skipped))
        sides = self.sides(spans[-1].at.stop)
        self.briefs += [Arena() for _ in range(sides - len(self.briefs))]
        wanted = _asked(spans[-1], lengths, asked)
        new = RecordedStep(spans, wanted, self.memory, self.briefs[:sides], self.team.share)
        kept = self.tapes.pop(new.shape, None)
        if kept is None:
            return new
        kept.aim(new)
        return kept

    def few(self, tokens: int) -> bool:
        """Return whether a step of so many tokens uses the thread pool, not torch's threads."""
        return self.plain and tokens <= FEW

    def sides(self, tokens: int) -> int:
        """Return how many lists of calls run in parallel in a step of so many tokens."""
        return torch.get_num_threads() if self.few(tokens) else 1

    def _span(self, lengths: Sequence[int], length: int, skipped: int) -> Span:
        rows = len(lengths)
        place = torch.arange(skipped, skipped + length)[None]
        like = self.layers[0].into.linears[0].weight
        cos, sin = self.body.rotary_emb(like, place)
        half = self.width // 2
        angles = cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous()
        own = [length] * rows
        if sum(lengths) < (1 - _PADDED) * rows * length:
            own = _padded_lengths(lengths, skipped, length)
        starts = np.cumsum([0, *own])
        at = slice(skipped, skipped + int(starts[-1]))
        return Span(rows, length, skipped, at, angles, starts)

    def _forward(self, layer: Layer, x: Any, tape: RecordedStep) -> Any:
        kept = {"x": x}
        kept["n1"], kept["f1"] = layer.first.forward(x, tape)
        (kept["q"], kept["k"], kept["v"]), kept["into"] = layer.into.forward(kept["n1"], tape)
        q = self._normed(kept, "q", layer.q_norm, tape)
        k = self._normed(kept, "k", layer.k_norm, tape)
        kept["ctx"] = tape.take(q.shape, q.dtype)
        past = None
        for span in tape.spans:
            given = [part[span.at] for part in (q, k, kept["v"], kept["ctx"])]
            past = self.attention.forward(layer.scale, span, given, past, tape)
            span.held.append(past)
        tape.layers.append(kept)
        if layer is self.layers[-1]:  # the output of other tokens is not used
            kept["ctx"], x = (self._select_output(part, tape) for part in (kept["ctx"], x))
        (kept["y"],), kept["out"] = layer.out.forward(kept["ctx"], tape, x)
        kept["n2"], kept["f2"] = layer.second.forward(kept["y"], tape)
        (kept["g"], kept["u"]), kept["up"] = layer.up.forward(kept["n2"], tape)
        kept["h"] = tape.take(kept["g"].shape, kept["g"].dtype)
        for own, at in tape.apart(len(x)):
            kernels.gate(kept["g"][at], kept["u"][at], kept["h"][at], own.do)
        (out,), kept["down"] = layer.down.forward(kept["h"], tape, kept["y"])
        return out

    def _select_output(self, x: Any, tape: RecordedStep) -> Any:
        """Record the selection of the output tokens."""
        out = tape.take((len(tape.asked), x.shape[1]), x.dtype)
        tape.do(torch.index_select, x, 0, tape.asked, out=out)
        return out

    def _scatter_output(self, slope: Any, tape: RecordedStep) -> Any:
        """Scatter a gradient of the output tokens to all tokens; the others' is 0."""
        out = tape.lend((tape.tokens, slope.shape[1]), slope.dtype)
        tape.do(out.zero_)
        tape.do(out.index_copy_, 0, tape.asked, slope)
        return out

    def _normed(
        self, kept: dict[str, Any], name: str, norm: Norm | None, tape: RecordedStep
    ) -> Any:
        if norm is None:
            return kept[name]
        done, kept[f"{name}_factor"] = norm.forward(kept[name].view(-1, self.width), tape)
        return done.view(kept[name].shape)

    def _backward(self, number: int, flows: Sequence[Any], tape: RecordedStep) -> None:
        """Write the gradient of a layer's input into the second of `flows`, from its output's."""
        (dx, out), layer, kept = flows, self.layers[number], tape.layers[number]
        dx = self._backward_mlp(layer, kept, dx, tape)
        dctx = layer.out.backward([dx], (kept["ctx"], kept["out"]), tape)
        if layer is self.layers[-1]:
            dctx, dx = (self._scatter_output(part, tape) for part in (dctx, dx))
        flat = [tape.lent(kept[name]) for name in "qkv"]
        sent = None  # gradients of the prompt's keys and values from the rows' attention
        for span in reversed(tape.spans):
            places = [part[span.at] for part in (*flat, dctx)]
            given = (layer.scale, span, span.held[number], places)
            sent = self.attention.backward(*given, tape, sent)
        dq = self._unnormed(kept, "q", layer.q_norm, flat[0], tape)
        dk = self._unnormed(kept, "k", layer.k_norm, flat[1], tape)
        left = kept["n1"], kept["into"]
        into = layer.into.backward([dq, dk, flat[2]], left, tape, whole=number > 0)
        if number:  # the first layer's input needs no gradient
            layer.first.backward(into, (kept["x"], kept["f1"]), dx, out, tape)

    def _backward_mlp(self, layer: Layer, kept: dict[str, Any], dx: Any, tape: RecordedStep) -> Any:
        """Return the gradient at the residual between attention and MLP."""
        dh = layer.down.backward([dx], (kept["h"], kept["down"]), tape)
        for own, at in tape.apart(len(dx)):
            given = (kept["g"][at], kept["u"][at], dh[at], kept["h"][at])
            kernels.gate_back(*given, own.do)
        dn2 = layer.up.backward([kept["h"], dh], (kept["n2"], kept["up"]), tape)
        return layer.second.backward(dn2, (kept["y"], kept["f2"]), dx, tape.lent(dx), tape)

    def _unnormed(
        self, kept: dict[str, Any], name: str, norm: Norm | None, flat: Any, tape: RecordedStep
    ) -> Any:
        if norm is None:
            return flat
        x, slope = kept[name].view(-1, self.width), flat.view(-1, self.width)
        given = (x, kept[f"{name}_factor"])
        return norm.backward(slope, given, None, tape.lent(x), tape).view(flat.shape)


def _read(ids: Any, span: Span) -> Any:
    """Return the input tokens of a span, without removed padding, of ids [rows, length]."""
    counts = np.diff(span.starts).tolist()
    return torch.cat([row[:count] for row, count in zip(ids, counts, strict=True)])


def _asked(span: Span, lengths: Sequence[int], asked: Sequence[int]) -> Any:
    """Return the positions of each row's last `asked` tokens, then of others up to a multiple.

    No position occurs twice.
    """
    ends = span.at.start + span.starts[:-1] + np.asarray(lengths)
    wanted = np.concatenate([np.arange(end - n, end) for end, n in zip(ends, asked, strict=True)])
    others = np.setdiff1d(np.arange(span.at.stop), wanted)
    return torch.from_numpy(np.concatenate([wanted, others[: -len(wanted) % _ASKED]]))


def _padded_lengths(lengths: Sequence[int], skipped: int, length: int) -> list[int]:
    """Return the tokens read of each row, with enough padding to round the total up to a multiple.

    No real token attends to padding on the right, and padding has no gradient.
    """
    spare, own = -(skipped + sum(lengths)) % (2 * ROUND), list(lengths)
    for n, count in enumerate(lengths):
        own[n] += min(spare, length - count)
        spare -= own[n] - count
    return own


def open_stack(module: Any) -> Stack | None:
    """Return the stack of a causal language model with supported layers, else None.

    It must run on a CPU and require no gradient but that of LoRA matrices of one scale on its
    linear layers.
    """
    if not is_supported(module):
        return None
    try:
        stack = Stack(module.get_decoder())
    except AttributeError:
        return None
    trained = {id(weight) for weight in module.parameters() if weight.requires_grad}
    same = trained == {id(weight) for weight in stack.adapters.weights}
    return stack if same and len(stack.adapters.scales) == 1 else None


def _fans(layer: Any, team: ThreadPool | None) -> list[Any]:
    attention, mlp = layer.self_attn, layer.mlp
    reads = [
        (attention.q_proj, attention.k_proj, attention.v_proj),
        (attention.o_proj,),
        (mlp.gate_proj, mlp.up_proj),
        (mlp.down_proj,),
    ]
    return [PooledLinears(team, *layers) if team else AdaptedLinears(*layers) for layers in reads]


def _layer(layer: Any, team: ThreadPool | None) -> Layer:
    attention, fans = layer.self_attn, _fans(layer, team)
    norms = [layer.input_layernorm, layer.post_attention_layernorm]
    norms += [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    given: list[Any] = [*fans, *map(open_norm, norms), float(attention.scaling)]
    return Layer(*given)
