"""Decoder layers of the Llama family with a hand-written gradient, for LoRA on a CPU.

Autograd's costs here are small operations on freshly allocated memory, adapters in another
precision, and an attention kernel that is slow at a few hundred tokens. This file reads the layers'
own weights without copies, records the calls of a step, which are replayed for every step of its
shape, and is used only if `HandGradient.proved` finds the loss and gradient of autograd. Knows no
optimizer and no task.

Shapes: N is the number of tokens of a step: those of a shared prompt, then the rows', row after
row; every linear layer reads them as one matrix. If there is much padding on the right, the tokens
leave it out, and only attention inserts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tuneworthy.models.local.cpu_engine import ROUND
from tuneworthy.records.freed_memory import gc_paused
from tuneworthy_cpu.gemm.thread_pool import ThreadPool, run
from tuneworthy_cpu.read.decoder import is_supported
from tuneworthy_cpu.train import gradient_kernels as kernels
from tuneworthy_cpu.train.adapted_linears import AdaptedLinears, Adapters, Norm, open_norm
from tuneworthy_cpu.train.attention_gradient import Attention
from tuneworthy_cpu.train.pooled_linears import FEW_TOKENS, PooledLinears
from tuneworthy_cpu.train.recorded_step import Arena, RecordedStep, Span

_MOST_PADDING_SHARE = 0.08  # above it, removing the padding is worth the copies
_OUTPUT_MULTIPLE = 64  # outputs are padded to a multiple, or each batch would have a new shape
_MOST_STEPS = 16  # recorded steps (one for each shape) that are kept


@dataclass
class Layer:
    """One decoder layer: linear layers (q, k, v · o · gate, up · down), norms, attention scale."""

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
    def groups(self) -> tuple[AdaptedLinears, ...]:
        """Return the linear layers, grouped by the input that they read."""
        return self.into, self.out, self.up, self.down


class Stack:
    """All layers of one model, their adapters, and memory that steps reuse.

    Run a step forward, then backward, and release it before the next one: all share memory.
    """

    def __init__(self, body: Any) -> None:
        config = body.config
        self.body = body
        kept, heads = config.num_key_value_heads, config.num_attention_heads
        self.width: int = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.attention = Attention(kept, heads // kept, self.width)
        self.pool = ThreadPool()
        self.plain = all(
            group.supported for layer in body.layers for group in _linear_groups(layer, self.pool)
        )
        self.layers = [_layer(layer, self.pool if self.plain else None) for layer in body.layers]
        groups = [group for layer in self.layers for group in layer.groups]
        self.adapters = Adapters(groups)
        self.free_step_memory()

    def free_step_memory(self) -> None:
        """Free the recorded steps and their memory."""
        self.steps: dict[tuple[Any, ...], RecordedStep] = {}
        self.memory, self.briefs = Arena(), list[Arena]()
        self.adapters.free_step_memory()

    def forward(self, ids: Sequence[Any], step: RecordedStep) -> Any:
        """Return the last layer's output at the step's output positions, [M, hidden].

        `ids` are [rows, length] for each span, padded on the right.
        """
        spans = zip(ids, step.spans, strict=True)
        x = self.body.embed_tokens(torch.cat([_span_ids(i, span) for i, span in spans]))
        if step.out is None:
            with gc_paused():  # recording creates thousands of long-lived objects
                self._record_forward(x, step)
        step.x.copy_(x)
        run(step.forward_calls)
        return step.out

    def backward(self, dx: Any, step: RecordedStep) -> None:
        """Write the adapters' gradients, given the output's gradient `dx` [M, hidden]."""
        if step.dx is None:
            with gc_paused():
                self._record_backward(dx, step)
        step.dx.copy_(dx)
        run(step.backward_calls)

    def _record_forward(self, x: Any, step: RecordedStep) -> None:
        self.memory.at = (0, 0)
        step.x = out = step.take(x.shape, x.dtype)
        for layer in self.layers:
            step.brief.at = (0, 0)
            out = self._forward_layer(layer, out, step)
        step.out, step.end = out, self.memory.at

    def _record_backward(self, dx: Any, step: RecordedStep) -> None:
        self.memory.at = step.end  # other steps may have been recorded since
        flows = [step.take(step.x.shape, dx.dtype) for _ in range(2)]
        step.start_backward(step.take(dx.shape, dx.dtype))
        dx = step.dx
        for number in reversed(range(len(self.layers))):
            step.brief.at = (0, 0)
            self._backward_layer(number, (dx, flows[0]), step)
            dx = flows[0]
            flows.reverse()

    def release(self, step: RecordedStep) -> None:
        """Keep a recorded step for reuse; drop the least recently used one of too many."""
        self.steps[step.shape] = step
        if len(self.steps) > _MOST_STEPS:
            del self.steps[next(iter(self.steps))]

    def step_of(
        self, lengths: Sequence[int], output_counts: Sequence[int], skipped: int = 0
    ) -> RecordedStep:
        """Return a step for rows of these lengths that all attend to `skipped` prompt tokens.

        It is a recorded one if there is one of its shape. It outputs the last tokens of each row
        (as many as `output_counts` says), and other tokens after them.
        """
        spans = [self._span([skipped], skipped, 0)] if skipped else []
        spans.append(self._span(lengths, max(lengths) + -max(lengths) % ROUND, skipped))
        parallel_lists = self.parallel_lists(spans[-1].at.stop)
        self.briefs += [Arena() for _ in range(parallel_lists - len(self.briefs))]
        wanted = _output_positions(spans[-1], lengths, output_counts)
        new = RecordedStep(
            spans, wanted, self.memory, self.briefs[:parallel_lists], self.pool.share
        )
        kept = self.steps.pop(new.shape, None)
        if kept is None:
            return new
        kept.copy_positions(new)
        return kept

    def uses_pool(self, tokens: int) -> bool:
        """Return whether a step of `tokens` tokens uses the thread pool, not torch's threads."""
        return self.plain and tokens <= FEW_TOKENS

    def parallel_lists(self, tokens: int) -> int:
        """Return the number of call lists that run in parallel in a step of `tokens` tokens."""
        return torch.get_num_threads() if self.uses_pool(tokens) else 1

    def _span(self, lengths: Sequence[int], length: int, skipped: int) -> Span:
        rows = len(lengths)
        place = torch.arange(skipped, skipped + length)[None]
        like = self.layers[0].into.linears[0].weight
        cos, sin = self.body.rotary_emb(like, place)
        half = self.width // 2
        angles = cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous()
        own = [length] * rows
        if sum(lengths) < (1 - _MOST_PADDING_SHARE) * rows * length:
            own = _padded_lengths(lengths, skipped, length)
        starts = np.cumsum([0, *own])
        at = slice(skipped, skipped + int(starts[-1]))
        return Span(rows, length, skipped, at, angles, starts)

    def _forward_layer(self, layer: Layer, x: Any, step: RecordedStep) -> Any:
        kept = {"x": x}
        kept["n1"], kept["f1"] = layer.first.forward(x, step)
        (kept["q"], kept["k"], kept["v"]), kept["into"] = layer.into.forward(kept["n1"], step)
        q = self._apply_norm(kept, "q", layer.q_norm, step)
        k = self._apply_norm(kept, "k", layer.k_norm, step)
        kept["ctx"] = step.take(q.shape, q.dtype)
        past = None
        for span in step.spans:
            given = [part[span.at] for part in (q, k, kept["v"], kept["ctx"])]
            past = self.attention.forward(layer.scale, span, given, past, step)
            span.held.append(past)
        step.layers.append(kept)
        if layer is self.layers[-1]:  # the output of other tokens is not used
            kept["ctx"], x = (self._select_output(part, step) for part in (kept["ctx"], x))
        (kept["y"],), kept["out"] = layer.out.forward(kept["ctx"], step, x)
        kept["n2"], kept["f2"] = layer.second.forward(kept["y"], step)
        (kept["g"], kept["u"]), kept["up"] = layer.up.forward(kept["n2"], step)
        kept["h"] = step.take(kept["g"].shape, kept["g"].dtype)
        for own, at in step.split(len(x)):
            kernels.gate(kept["g"][at], kept["u"][at], kept["h"][at], own.do)
        (out,), kept["down"] = layer.down.forward(kept["h"], step, kept["y"])
        return out

    def _select_output(self, x: Any, step: RecordedStep) -> Any:
        """Record selecting the output tokens of x [N, ...]; return them, [M, ...]."""
        out = step.take((len(step.output_positions), x.shape[1]), x.dtype)
        step.do(torch.index_select, x, 0, step.output_positions, out=out)
        return out

    def _scatter_output(self, slope: Any, step: RecordedStep) -> Any:
        """Record expanding the output tokens' gradient to all tokens, 0 elsewhere; return it."""
        out = step.take_brief((step.tokens, slope.shape[1]), slope.dtype)
        step.do(out.zero_)
        step.do(out.index_copy_, 0, step.output_positions, slope)
        return out

    def _apply_norm(
        self, kept: dict[str, Any], name: str, norm: Norm | None, step: RecordedStep
    ) -> Any:
        if norm is None:
            return kept[name]
        done, kept[f"{name}_factor"] = norm.forward(kept[name].view(-1, self.width), step)
        return done.view(kept[name].shape)

    def _backward_layer(self, number: int, flows: Sequence[Any], step: RecordedStep) -> None:
        """Record the gradient of a layer's input, flows[1], given that of its output, flows[0]."""
        (dx, out), layer, kept = flows, self.layers[number], step.layers[number]
        dx = self._backward_mlp(layer, kept, dx, step)
        dctx = layer.out.backward([dx], (kept["ctx"], kept["out"]), step)
        if layer is self.layers[-1]:
            dctx, dx = (self._scatter_output(part, step) for part in (dctx, dx))
        flat = [step.take_brief_like(kept[name]) for name in "qkv"]
        sent = None  # gradients of the prompt's keys and values from the rows' attention
        for span in reversed(step.spans):
            places = [part[span.at] for part in (*flat, dctx)]
            given = (layer.scale, span, span.held[number], places)
            sent = self.attention.backward(*given, step, sent)
        dq = self._norm_gradient(kept, "q", layer.q_norm, flat[0], step)
        dk = self._norm_gradient(kept, "k", layer.k_norm, flat[1], step)
        left = kept["n1"], kept["into"]
        into = layer.into.backward([dq, dk, flat[2]], left, step, whole=number > 0)
        if number:  # the first layer's input needs no gradient
            layer.first.backward(into, (kept["x"], kept["f1"]), dx, out, step)

    def _backward_mlp(self, layer: Layer, kept: dict[str, Any], dx: Any, step: RecordedStep) -> Any:
        """Record the MLP's gradient; return that of the residual between attention and MLP."""
        dh = layer.down.backward([dx], (kept["h"], kept["down"]), step)
        for own, at in step.split(len(dx)):
            given = (kept["g"][at], kept["u"][at], dh[at], kept["h"][at])
            kernels.gate_backward(*given, own.do)
        dn2 = layer.up.backward([kept["h"], dh], (kept["n2"], kept["up"]), step)
        return layer.second.backward(
            dn2, (kept["y"], kept["f2"]), dx, step.take_brief_like(dx), step
        )

    def _norm_gradient(
        self, kept: dict[str, Any], name: str, norm: Norm | None, flat: Any, step: RecordedStep
    ) -> Any:
        if norm is None:
            return flat
        x, slope = kept[name].view(-1, self.width), flat.view(-1, self.width)
        given = (x, kept[f"{name}_factor"])
        return norm.backward(slope, given, None, step.take_brief_like(x), step).view(flat.shape)


def _span_ids(ids: Any, span: Span) -> Any:
    """Return the ids of the span's tokens, row after row, of padded ids [rows, length]."""
    counts = np.diff(span.starts).tolist()
    return torch.cat([row[:count] for row, count in zip(ids, counts, strict=True)])


def _output_positions(span: Span, lengths: Sequence[int], output_counts: Sequence[int]) -> Any:
    """Return the positions of each row's last `output_counts` tokens, padded with others.

    Positions of other tokens pad the result to a multiple of 64; no position occurs twice.
    """
    ends = span.at.start + span.starts[:-1] + np.asarray(lengths)
    wanted = np.concatenate(
        [np.arange(end - n, end) for end, n in zip(ends, output_counts, strict=True)]
    )
    others = np.setdiff1d(np.arange(span.at.stop), wanted)
    return torch.from_numpy(np.concatenate([wanted, others[: -len(wanted) % _OUTPUT_MULTIPLE]]))


def _padded_lengths(lengths: Sequence[int], skipped: int, length: int) -> list[int]:
    """Return the number of tokens to read of each row, padded to a total that is a multiple of 16.

    No real token attends to padding on the right, and padding has no gradient.
    """
    spare, own = -(skipped + sum(lengths)) % (2 * ROUND), list(lengths)
    for n, count in enumerate(lengths):
        own[n] += min(spare, length - count)
        spare -= own[n] - count
    return own


def open_stack(module: Any) -> Stack | None:
    """Return the stack of a causal language model with supported layers, else None.

    The model must be on a CPU, and only LoRA matrices of one scale on its linear layers may require
    a gradient.
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


def _linear_groups(layer: Any, pool: ThreadPool | None) -> list[Any]:
    attention, mlp = layer.self_attn, layer.mlp
    reads = [
        (attention.q_proj, attention.k_proj, attention.v_proj),
        (attention.o_proj,),
        (mlp.gate_proj, mlp.up_proj),
        (mlp.down_proj,),
    ]
    return [PooledLinears(pool, *layers) if pool else AdaptedLinears(*layers) for layers in reads]


def _layer(layer: Any, pool: ThreadPool | None) -> Layer:
    attention, groups = layer.self_attn, _linear_groups(layer, pool)
    norms = [layer.input_layernorm, layer.post_attention_layernorm]
    norms += [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    given: list[Any] = [*groups, *map(open_norm, norms), float(attention.scaling)]
    return Layer(*given)
