"""Run the decoder layers of the Llama family directly from their weights, for inference on a CPU.

transformers spends a third of its time outside the matrix products: modules, small operations, an
attention kernel made for long rows. Here a layer is some thirty operations, including those of an
adapter. Used only where the logits of a probe are the model's own (`models/local/forward.py`).
Knows no sampling and no text.

Shapes: N = rows · length tokens, row after row; queries are [rows, kept heads, length, group,
width], where "kept heads" are the key/value heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch.nn.functional import linear, pad

from tuneworthy.models.local.cpu_engine import whole
from tuneworthy_cpu.compiled import call_now
from tuneworthy_cpu.gemm import products as _products
from tuneworthy_cpu.gemm.products import GRAIN
from tuneworthy_cpu.gemm.thread_pool import SERIAL, ThreadPool
from tuneworthy_cpu.gemm.tiles import WIDE
from tuneworthy_cpu.read import address_table as _places
from tuneworthy_cpu.read import decode_step as _steps
from tuneworthy_cpu.read import layer_kernels as _kernels
from tuneworthy_cpu.read import prefill_attention as _reading

FAMILIES = {"llama", "mistral", "qwen2", "qwen3"}
_ROPE_TYPES = {"default", "linear", "llama3"}
_MOST_SCORE_BYTES = 1 << 20  # bytes of attention scores computed at once: they fit a core's cache
_LEAST_QUERIES = 16  # queries of a row at once, at least

Change = tuple[Any, Any, float]


class AttentionContext(Protocol):
    """The keys that queries attend to: a prefix shared by all rows, and keys of their own row.

    Of the row's keys, either the additive `mask` [rows, 1, queries, keys] selects, or `real`
    [rows, keys], True where a key is no padding (on the left), together with a causal mask.
    `prefix` has keys and values by layer.
    """

    prefix: Any
    mask: Any
    real: Any


def is_supported(module: Any) -> bool:
    """Return whether this file can run the layers of a causal language model."""
    config = module.config
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    full = getattr(config, "sliding_window", None) is None or not getattr(
        config, "use_sliding_window", True
    )
    same = config.model_type in FAMILIES and rope in _ROPE_TYPES and config.hidden_act == "silu"
    taken = module.dtype in (torch.bfloat16, torch.float32, torch.float64)
    return bool(same and full and taken and module.device.type == "cpu")


@dataclass(frozen=True)
class FusedLinear:
    """Linear layers that read the same input, and their low-rank changes.

    `packed` is a copy of all their weights as one matrix in oneDNN's packed order, or None. `a`
    [ranks, in] holds the A of all changes, `b` each B times its scale, [out, rank] or None.
    `plain`: the own GEMM reads the unpacked weights (`gemm/products.py`).
    """

    names: tuple[str, ...]
    weights: tuple[Any, ...]
    biases: tuple[Any, ...]
    packed: tuple[Any, Any] | None
    a: Any = None
    b: tuple[Any, ...] = ()
    plain: bool = False

    def adapted(self, changes: Mapping[str, Change]) -> FusedLinear:
        """Return a copy with those of `changes` (by layer name) that belong to these layers."""
        own = [changes.get(name) for name in self.names]
        if not any(own):
            return self
        firsts = [change[0] for change in own if change]
        seconds = [change and change[1] * change[2] for change in own]
        if self.plain:  # zero-pad the ranks to the GEMM's grain
            firsts = [pad(a, (0, 0, 0, -len(a) % GRAIN)) for a in firsts]
            seconds = [b if b is None else pad(b, (0, -b.shape[1] % GRAIN)) for b in seconds]
        return replace(self, a=torch.cat(firsts), b=tuple(seconds))

    def __call__(self, x: Any, add: Any = None, pool: ThreadPool = SERIAL) -> Any:
        """Return the concatenated outputs for x [N, in], plus `add` if there is one layer."""
        if self.plain:
            return self._multiply_unpacked(x, add, pool)
        if self.packed is not None:
            y = _product(x, *self.packed, add)
        else:
            given = zip(self.weights, self.biases, strict=True)
            parts = [linear(x, weight, bias) for weight, bias in given]
            y = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            y = y if add is None else y.add_(add)
        if self.a is not None:
            low, at, out = torch.mm(x, self.a.t()), 0, 0
            for weight, b in zip(self.weights, self.b, strict=True):
                if b is not None:
                    y[:, out : out + len(weight)].addmm_(low[:, at : at + b.shape[1]], b.t())
                    at += b.shape[1]
                out += len(weight)
        return y

    def _multiply_unpacked(self, x: Any, add: Any, pool: ThreadPool) -> Any:
        y = x.new_empty(len(x), sum(map(len, self.weights)))
        low = None if self.a is None else pool.product(x, self.a)
        at, out = 0, 0
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            part, change = y[:, out : out + len(weight)], None
            b = self.b[number] if self.b else None
            if low is not None and b is not None:
                change, at = (low[:, at : at + b.shape[1]], b), at + b.shape[1]
            more = add if bias is None else bias[None]
            pool.product(x, weight, change, more, (part, call_now))
            if bias is not None and add is not None:
                part.add_(add)
            out += len(weight)
        return y


@dataclass(frozen=True)
class Layer:
    """One decoder layer: its linear layers, norms (weight, eps) and attention scale."""

    into: FusedLinear
    out: FusedLinear
    up: FusedLinear
    down: FusedLinear
    first: tuple[Any, float]
    second: tuple[Any, float]
    q_norm: tuple[Any, float] | None
    k_norm: tuple[Any, float] | None
    scale: float

    def adapted(self, changes: Mapping[str, Change]) -> Layer:
        """Return a copy with those of `changes` (by layer name) that belong to this layer."""
        fused = {
            name: getattr(self, name).adapted(changes) for name in ("into", "out", "up", "down")
        }
        return replace(self, **fused)


@dataclass(frozen=True)
class Decoder:
    """All layers of one model, its final norm and output layer [vocabulary, hidden].

    `steps`: `decode_step` runs batches of any size; if False, only batches of one row.
    """

    body: Any
    layers: tuple[Layer, ...]
    norm: tuple[Any, float]
    head: FusedLinear
    kept: int
    width: int
    steps: bool = False

    @cached_property
    def addresses(self) -> _places.LayerAddresses:
        """Return the address table of the layers for `decode_step`."""
        return _places.open_layers(self.layers, self.norm, self.head, self.steps)

    def adapted(self, changes: Mapping[str, Change]) -> Decoder:
        """Return a copy with low-rank changes, (A, B, scale) by layer name."""
        return replace(self, layers=tuple(layer.adapted(changes) for layer in self.layers))

    def __call__(
        self, ids: Any, position: Any, cache: Any, attention: AttentionContext, keep: int
    ) -> Any:
        """Return the logits of each row's last `keep` tokens (0: all), given ids [rows, length].

        Appends keys and values to `cache` (`LayerCache` layers). `position` counts each row's
        tokens without padding.
        """
        if not self.steps or torch.get_num_threads() == 1:
            return self._run_layers(ids, position, cache, (attention, keep), SERIAL)
        with ThreadPool() as pool:
            return self._run_layers(ids, position, cache, (attention, keep), pool)

    def _run_layers(
        self,
        ids: Any,
        position: Any,
        cache: Any,
        look: tuple[AttentionContext, int],
        pool: ThreadPool,
    ) -> Any:
        (attention, keep), (rows, length) = look, ids.shape
        x = self.body.embed_tokens(ids).flatten(0, 1)
        last = len(self.layers) - 1
        half = self.width // 2
        angles = [t[..., :half].contiguous() for t in self.body.rotary_emb(x, position)]
        hide = _hidden_keys(attention, rows)
        plain = self.steps and attention.real is not None
        past = attention.prefix.columns if plain and attention.prefix else None
        no_prefix = x.new_empty(self.kept, self.width, 0), x.new_empty(self.kept, 0, self.width)
        for number, layer in enumerate(self.layers):
            heads = layer.into(_apply_norm(x, layer.first), pool=pool).view(
                rows, length, -1, self.width
            )
            q, k = self._rotated_heads(heads, layer, angles)
            keys, values = cache.layers[number].update(k, heads[:, :, -self.kept :].transpose(1, 2))
            if keep and number == last:  # other tokens need only their keys and values
                q, hide = q[:, :, -keep:], hide if hide.ndim == 1 else hide[:, -keep:]
                x = x.view(rows, length, -1)[:, -keep:].flatten(0, 1)
            if plain:
                own, before = (keys, values), past[number] if past else no_prefix
                how = attention.real.shape[1], layer.scale
                attention_output = _reading.attention_output(q, own, before, hide, how)
            else:
                attention_output = _attention_output(
                    q, (keys, values, attention, number), hide, layer.scale
                )
            x = layer.out(attention_output, x, pool)
            both = layer.up(_apply_norm(x, layer.second), pool=pool)
            x = layer.down(_kernels.gated(both), x, pool)
        return self.head(_apply_norm(x, self.norm), pool=pool).view(rows, keep or length, -1)

    def step(self, tokens: Any, position: Any, cache: Any, prefix: Any) -> Any:
        """Return the logits [rows, vocabulary] after one more token id of each row, [rows, 1]."""
        x = self.body.embed_tokens(tokens)[:, 0].clone()
        angles = self.body.rotary_emb(x, position)
        cos, sin = (t[:, 0, : self.width // 2].contiguous() for t in angles)
        real = position[:, 0] - (prefix.length if prefix else 0)
        place = prefix, (cache.layers[0].filled - real).numpy()
        logits = _steps.decode_step(x, self.addresses, (cos, sin), cache, place)
        return self.head(_apply_norm(x, self.norm)) if logits is None else logits

    def _rotated_heads(self, heads: Any, layer: Layer, angles: Sequence[Any]) -> tuple[Any, Any]:
        """Return queries and keys, normed if the model does so, rotated by position (RoPE)."""
        count = heads.shape[2] - 2 * self.kept
        if layer.q_norm and layer.k_norm:
            parts = heads[:, :, : -self.kept].split((count, self.kept), 2)
            normed = [
                _apply_norm(part.reshape(-1, self.width), norm).view(part.shape)
                for part, norm in zip(parts, (layer.q_norm, layer.k_norm), strict=True)
            ]
            heads = torch.cat(normed, 2)
        return _kernels.rotate_heads(heads, count, self.kept, (angles[0], angles[1]))


def open_decoder(module: Any) -> Decoder | None:
    """Return the decoder of a causal language model, None if its layers are not supported."""
    if not is_supported(module):
        return None
    body, config, head = module.get_decoder(), module.config, module.get_output_embeddings()
    names = {part: name for name, part in module.named_modules()}
    half = body.embed_tokens.weight.dtype == torch.bfloat16
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads

    def fuse(*parts: Any) -> FusedLinear:
        weights = tuple(part.weight.detach() for part in parts)
        biases = tuple(part.bias for part in parts)
        plain = width % WIDE == 0 and all(_products.gemm_supports(weight) for weight in weights)
        packed = _packed(weights, biases) if half and not plain else None
        return FusedLinear(
            tuple(names[part] for part in parts), weights, biases, packed, plain=plain
        )

    def norm(part: Any) -> Any:
        return part and (part.weight.detach(), float(part.variance_epsilon))

    try:
        layers = tuple(_layer(layer, fuse, norm) for layer in body.layers)
        above = norm(body.norm)
    except AttributeError:
        return None
    plain = all(f.plain for layer in layers for f in (layer.into, layer.out, layer.up, layer.down))
    return Decoder(body, layers, above, fuse(head), config.num_key_value_heads, width, plain)


def _layer(layer: Any, fuse: Any, norm: Any) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return Layer(
        into=fuse(attention.q_proj, attention.k_proj, attention.v_proj),
        out=fuse(attention.o_proj),
        up=fuse(mlp.gate_proj, mlp.up_proj),
        down=fuse(mlp.down_proj),
        first=norm(layer.input_layernorm),
        second=norm(layer.post_attention_layernorm),
        q_norm=norm(getattr(attention, "q_norm", None)),
        k_norm=norm(getattr(attention, "k_norm", None)),
        scale=float(attention.scaling),
    )


def _packed(weights: tuple[Any, ...], biases: tuple[Any, ...]) -> tuple[Any, Any] | None:
    """Return (weights, biases) merged and packed for oneDNN, None if torch cannot pack them."""
    given = [bias is not None for bias in biases]
    if any(given) and not all(given):
        return None
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(torch.cat(weights))
        return packed, torch.cat(biases) if all(given) else None
    except (AttributeError, RuntimeError):
        return None


def _product(x: Any, weight: Any, bias: Any, add: Any) -> Any:
    if add is None:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return torch.ops.mkldnn._linear_pointwise.binary(x, add, weight, bias, "add")


def _apply_norm(x: Any, norm: tuple[Any, float]) -> Any:
    return _kernels.rms_norm(x, norm)[0]


def _hidden_keys(attention: AttentionContext, rows: int) -> Any:
    """Return the number of padding keys of each row, [rows], or the additive mask if given."""
    if attention.real is not None:
        return (~attention.real).sum(1)
    return attention.mask[:, 0].expand(rows, -1, -1)


def _attention_output(
    q: Any, context: tuple[Any, Any, AttentionContext, int], hide: Any, scale: float
) -> Any:
    """Return the attention output of queries [rows, kept heads, length, group, width].

    The result is [rows · length, heads]. Scores are computed for a few rows at a time, and for long
    rows a few queries at a time, so that they fit a core's cache; keys after the last of those
    queries are skipped.
    """
    keys, values, attention, number = context
    prefix, causal = attention.prefix, attention.real is not None
    own = attention.real.shape[1] if causal else attention.mask.shape[3]
    before = (prefix.keys[number], prefix.values[number]) if prefix else None
    past = prefix.length if prefix else 0
    rows, kept, length, group, _ = q.shape
    each = kept * group * (own + past) * q.dtype.itemsize
    step = max(1, _MOST_SCORE_BYTES // (each * length))
    block = min(length, max(_LEAST_QUERIES, _MOST_SCORE_BYTES // each)) if step == 1 else length
    joins = step == 1 and past <= length
    out = q.new_empty(rows, length, kept, group, q.shape[4])
    for start in range(0, rows, step):
        part = slice(start, start + step)
        own_part, shared, ahead = (keys[part], values[part]), before, 0
        if before and joins:  # copying a short prefix is cheaper than separate products
            own_part, shared, ahead = _with_prefix(before, own_part, own), None, past
        hidden = hide[part]
        for first in range(0, length, block):
            queries = slice(first, min(first + block, length))
            visible = ahead + (own - length + queries.stop if causal else own)
            near = whole(visible, own_part[1].shape[2])
            query = q[part, :, queries].flatten(2, 3)
            if not causal:
                hidden = hide[part, queries].contiguous()
            count = queries.stop - first
            place = (group, count, visible, ahead, int(causal))
            pair = (own_part[0][..., :near], own_part[1][:, :, :near])
            output = _attend_block(query, pair, shared, (hidden, place, scale))
            out[part, queries] = output.view(-1, kept, count, group, q.shape[4]).transpose(1, 2)
    return out.view(rows * length, -1)


def _with_prefix(before: Any, own: tuple[Any, Any], count: int) -> tuple[Any, Any]:
    """Return keys and values: the prefix's, then the first `count` of each row's own."""
    (old_keys, old_values), (keys, values) = before, own
    past, width = old_values.shape[2:]
    space = past + whole(count)
    shape = values.shape[:2]
    joined = keys.new_empty(*shape, width, space), values.new_empty(*shape, space, width)
    joined[0][..., :past], joined[0][..., past : past + count] = old_keys, keys[..., :count]
    joined[1][:, :, :past], joined[1][:, :, past : past + count] = old_values, values[:, :, :count]
    joined[1][:, :, past + count :] = 0
    return joined


def _attend_block(q: Any, own: tuple[Any, Any], before: Any, how: tuple[Any, Any, float]) -> Any:
    """Return attention over own keys and those of the prefix [1, kept heads, width, length].

    Products run in the model's precision, all else in fp32; their rounding leaves the logits as
    close to those of an fp32 run (bench/journal).
    """
    keys, values = own
    rows, kept, queries, width = q.shape
    scores = torch.bmm(q.flatten(0, 1), keys.flatten(0, 1)).view(rows, kept, queries, -1)
    shared = None
    if before:
        queries_by_head = q.transpose(0, 1).reshape(kept, -1, width)
        shared = torch.bmm(queries_by_head, before[0][0]).view(kept, rows, queries, -1)
    _kernels.softmax_scores(scores, shared, *how)
    out = torch.bmm(scores.flatten(0, 1), values.flatten(0, 1)).view(rows, kept, queries, width)
    if shared is not None:
        prefix_out = torch.bmm(shared.flatten(1, 2), before[1][0]).view(kept, rows, queries, width)
        out.add_(prefix_out.transpose(0, 1))
    return out
