"""Estimate a model's memory from its config, check that it fits, and size its batches.

Estimates are bytes by part, for inference and for training an adapter or all weights. Opens no
model; bench/journal states the accuracy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from tuneworthy.models.local import cpu_engine
from tuneworthy.models.local.config import read_config
from tuneworthy.models.local.device import free_memory, total_memory
from tuneworthy.models.local.weights import shapes
from tuneworthy.records.errors import DoesNotFit, ModelError

Way = Literal["autograd", "checkpointing", "written out"]  # how gradients are computed

ATTENTION_BYTES = (
    1 << 28
)  # bytes of scores, masks or copied keys that general attention holds at once

_IN_LAYER = re.compile(r"\.\d+\..*weight$")
# computed step by step: autograd keeps four results
_UNFUSED_GELU = {"gelu_new", "gelu_fast", "gelu_python"}

_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head"),
    "kept": ("num_key_value_heads",),
    "inner": ("intermediate_size", "n_inner", "ffn_dim"),
}


@dataclass(frozen=True)
class Shape:
    """Sizes of a dense decoder, and properties of its layers that affect memory.

    `query` and `key` are heads × width, `inner` the width inside the MLP, `norms` the total width
    of a layer's norms. The MLP keeps `branches` tensors of the inner width for the backward pass;
    `fused`: query, key and value are one product; `capped`: scores are soft-capped, so no fused
    kernel applies; `window`: the attention span of a layer in tokens. `linears` are (in, out) by
    name, of the layers only.
    """

    values: int
    layers: int
    heads: int
    hidden: int
    query: int
    key: int
    inner: int
    vocab: int
    norms: int
    branches: int
    fused: bool
    capped: bool
    window: int | None
    linears: Mapping[str, tuple[int, int]]


class Adapted(NamedTuple):
    """An adapter's rank, its target layers, and whether it has magnitudes (DoRA)."""

    rank: int
    targets: str | Sequence[str]
    dora: bool = False


@dataclass(frozen=True)
class Part:
    """Rows read at once: their number, padded length, shared prefix tokens, tokens with logits."""

    rows: int
    length: int
    shared: int
    scored: int


def shape_of(config: Mapping[str, Any], tensors: Mapping[str, Sequence[int]]) -> Shape:
    """Return the sizes of a model from config.json and {tensor name: shape}.

    Raises ModelError if the config lacks the sizes of a decoder.
    """
    config = config.get("text_config") or config
    sizes_ = {key: _first_size(config, names) for key, names in _NAMES.items()}
    hidden, heads, layers = sizes_["hidden"], sizes_["heads"], sizes_["layers"]
    if not (hidden and heads and layers):
        raise ModelError(
            "the config names no sizes of a decoder",
            got=str(config.get("model_type")),
            fix="choose a decoder model (…ForCausalLM) that transformers knows, or serve it behind "
            "an OpenAI-compatible endpoint and use openai:NAME@URL",
        )
    width = config.get("head_dim") or hidden // heads
    query, key = heads * width, (sizes_["kept"] or heads) * width
    experts = config.get("num_experts_per_tok")
    inner = sizes_["inner"] or 4 * hidden
    if experts:  # only the active experts
        inner = experts * (config.get("moe_intermediate_size") or inner)
    inside = {name: shape for name, shape in tensors.items() if _IN_LAYER.search(name)}
    linears = {n: (s[1], s[0]) for n, s in inside.items() if len(s) == 2 and min(s) > 1}
    norms = sum(_norm_width(n, s[0], query, key) for n, s in inside.items() if len(s) == 1)
    return Shape(
        values=sum(math.prod(shape) for shape in tensors.values()),
        layers=layers,
        heads=heads,
        hidden=hidden,
        query=query,
        key=key,
        inner=inner,
        vocab=config.get("vocab_size") or 0,
        norms=max(norms // layers, 2 * hidden),
        branches=_mlp_branches(config, inner, layers, linears),
        fused=any(query + 2 * key in sizes for sizes in linears.values()),
        capped=bool(config.get("attn_logit_softcapping")),
        window=config.get("sliding_window") if config.get("use_sliding_window", True) else None,
        linears=linears,
    )


def inference_memory(
    shape: Shape, size: int, tokens: int, rows: int = 128, *, general: bool = False
) -> dict[str, int]:
    """Return bytes by part for inference in batches of `tokens` padded tokens.

    `size` is the bytes of a number in the run's precision. `general`: attention is that of
    `device_attention.py`, which stores blocks of scores or masks. Scoring many labels takes more.
    """
    read = size * tokens * (4 * shape.hidden + 2 * shape.query + 3 * shape.inner)
    return {
        "weights": size * shape.values,
        "cache": size * tokens * 2 * shape.key * shape.layers,
        "work": read + 12 * rows * shape.vocab,
        **({"scores": min(ATTENTION_BYTES, 4 * shape.heads * tokens**2)} if general else {}),
    }


def batch_tokens(shape: Shape, size: int, device: str, total: int) -> int:
    """Return the number of padded tokens in a batch.

    Their keys and values take a quarter of the device's `total` bytes less the weights, not of the
    memory that is free now: a batch must not depend on other processes.
    """
    left = total - size * shape.values
    each = size * 2 * shape.key * shape.layers
    return max(1024, min(16_384 if device == "cpu" else 131_072, left // 4 // each))


def adapted(shape: Shape, targets: str | Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return {name: (in, out)} of the linear layers that an adapter with these targets changes."""
    if isinstance(targets, str):
        return dict(shape.linears)
    ends = tuple(f".{target}.weight" for target in targets)
    return {name: sizes for name, sizes in shape.linears.items() if name.endswith(ends)}


def _dora_activations(size: int, linears: Mapping[str, tuple[int, int]]) -> int:
    """Return the bytes that DoRA layers store for a token in addition: unscaled outputs."""
    return (size + 4) * sum(out for _, out in linears.values())


def activations(shape: Shape, size: int, rank: int, linears: Mapping[str, tuple[int, int]]) -> int:
    """Return the bytes that all layers store for the backward pass of one token.

    In single precision the inputs of linear layers are stored once; in half precision each adapted
    layer stores a single-precision copy. Norms store a single-precision input.
    """
    attention = 2 * shape.query + 2 * shape.key + (shape.query + shape.key if shape.fused else 0)
    each = 4 * shape.norms + size * (attention + shape.branches * shape.inner)
    if size == 4:
        each += 4 * (2 * shape.hidden + shape.inner)
    copied = sum(width for width, _ in linears.values()) if size < 4 else 0
    return shape.layers * each + 4 * (copied + rank * len(linears))


def _hand_gradient_activations(
    shape: Shape, size: int, rank: int, linears: Mapping[str, Any]
) -> int:
    """Return the bytes that layers store per token for the CPU engine's hand-written gradient."""
    each = 4 * shape.hidden + 3 * shape.query + 4 * shape.key + 3 * shape.inner
    return size * (shape.layers * each + rank * len(linears))


def training_memory(
    shape: Shape,
    size: int,
    adapter: Adapted | tuple[int, str | Sequence[str]] | None,
    step: Sequence[Part],
    *,
    lanes: int = 1,
    way: Way = "autograd",
) -> dict[str, int]:
    """Return bytes by part of one training step, without the base's weights, already loaded.

    `adapter` None: all weights are trained, in a copy of `size` bytes a number, which is counted.
    `step` are the parts of one step, `lanes` of them read at once. With `way` checkpointing only
    the layers' inputs are stored, and one layer at a time in full.
    """
    rank, targets, dora = Adapted(*adapter or (0, ()))
    linears = adapted(shape, targets)
    numbers = rank * sum(a + b for a, b in linears.values())
    numbers += sum(out for _, out in linears.values()) if dora else 0
    trained, wide = ("weights", size) if adapter is None else ("adapter", 4)
    numbers = shape.values if adapter is None else numbers
    whole = (_hand_gradient_activations if way == "written out" else activations)(
        shape, size, rank, linears
    ) + (_dora_activations(size, linears) if dora else 0)
    if adapter is None:  # a norm's weight needs its normalised input
        whole += size * (shape.layers * shape.norms + shape.hidden)
    trunk = max((part.shared for part in step), default=0)

    # One per part until they are summed; the hand-written gradient, and a single lane, hold the sum
    # and one part.
    sums = 2 if way == "written out" or (adapter is None and lanes == 1) else 1 + len(step)

    def at_once(cost: Callable[[Part], int]) -> int:
        return sum(sorted(map(cost, step), reverse=True)[:lanes])

    kept = at_once(lambda part: _attention_bytes(shape, size, part, whole, way)) + trunk * whole
    if way == "checkpointing":
        inputs = size * shape.hidden * shape.layers
        tokens = at_once(lambda part: part.rows * part.length)
        # The keys and values of a shared prompt stay in memory for the rows.
        held = trunk * size * 2 * shape.key * shape.layers
        kept = inputs * (tokens + trunk) + held + kept // shape.layers
    return {
        trained: wide * numbers,
        "gradient": wide * numbers * sums,
        "optimizer": 2 * wide * numbers,
        "activations": kept,
        **({"scores": at_once(lambda part: _score_bytes(shape, part))} if shape.capped else {}),
        "logits": at_once(lambda part: part.scored) * shape.vocab * (2 * size + 12),
    }


def refuse(
    what: str, parts: Mapping[str, int], free: int, *, where: str, fix: str, held: float = 1.1
) -> None:
    """Raise DoesNotFit if the sum of `parts` (bytes) times the overhead `held` exceeds `free`."""
    need = held * sum(parts.values())
    if need > free:
        largest = sorted(parts.items(), key=lambda part: -part[1])
        each = ", ".join(f"{name} {amount / 1e9:.2f}" for name, amount in largest)
        raise DoesNotFit(
            what,
            where=where,
            got=f"{need / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free ({each})",
            fix=fix,
        )


def _attention_bytes(shape: Shape, size: int, part: Part, token: int, way: Way) -> int:
    tokens, seen = part.rows * part.length, part.shared + part.length
    kept = tokens * token
    # attention weights, and one copy of the shared keys and values per row
    if way == "written out":
        weights = shape.heads * tokens * min(seen, 512)
        kept += size * shape.layers * (weights + part.rows * part.shared * 2 * shape.key)
        # After its attention the last layer computes only scored tokens.
        passed = tokens + part.shared - part.scored
        kept -= size * passed * (2 * shape.hidden + 3 * shape.inner)
    elif shape.capped:  # the backward pass recomputes scores; keys and values are copied
        kept += size * shape.layers * part.rows * part.shared * 2 * shape.key
    elif part.shared or (shape.window and seen > shape.window):
        # With a mask, torch copies keys, values and the mask for every row and query head.
        copies = part.rows * seen * 2 * shape.query - tokens * 2 * shape.key
        kept += size * shape.layers * (copies + tokens * seen)
    return kept


def _score_bytes(shape: Shape, part: Part) -> int:
    """Return the bytes of one layer's soft-capped scores: three fp32 copies."""
    seen = part.shared + part.length
    return 3 * min(ATTENTION_BYTES, 4 * shape.heads * part.rows * part.length * seen)


def _mlp_branches(
    config: Mapping[str, Any], inner: int, layers: int, linears: Mapping[str, tuple[int, int]]
) -> int:
    """Return the number of tensors of the inner width that the MLP stores for the backward pass."""
    wide = [out // inner for _, out in linears.values() if out in (inner, 2 * inner)]
    if sum(wide) >= 2 * layers:
        return 3  # gate, its activation, and the other branch
    act = config.get("hidden_act") or config.get("activation_function")
    return 4 if act in _UNFUSED_GELU else 1


def _norm_width(name: str, width: int, query: int, key: int) -> int:
    if "norm" not in name.lower() and ".ln_" not in name:
        return 0
    return {"q_norm": query, "k_norm": key}.get(name.split(".")[-2], width)


def _first_size(config: Mapping[str, Any], names: Sequence[str]) -> int:
    return next((int(config[name]) for name in names if config.get(name)), 0)


def check_memory(files: Sequence[Path], precision: str, device: str) -> None:
    """Raise DoesNotFit if weights and a batch do not fit in the free memory; read headers only."""
    folder, size = files[0].parent, getattr(torch, precision).itemsize
    general = device != "cpu" or not cpu_engine.enabled()
    try:
        shape = shape_of(read_config(folder), shapes(files))
        tokens = batch_tokens(shape, size, device, total_memory(device))
        parts = inference_memory(shape, size, tokens, general=general)
    except (TypeError, ValueError, ArithmeticError, AttributeError, IndexError) as error:
        raise ModelError(
            "the sizes in the config make no decoder", where=str(folder), got=str(error)
        ) from error
    packed = not general and size < 4 and not cpu_engine.gemm_available()
    if packed:  # the engine keeps a second copy of the weights, in oneDNN's order
        parts = {**parts, "packed": parts["weights"]}
    # While loading onto a GPU, this process holds one tensor at a time.
    largest = {"largest tensor": 4 * max(map(math.prod, shapes(files).values()), default=0)}
    needs = {"cpu": parts if device == "cpu" else largest, device: parts}
    for where, need in needs.items():
        refuse(
            f"the model does not fit in the free memory ({where})",
            need,
            free_memory(where),
            where=str(folder),
            fix="choose a smaller model, free some memory, or serve it and use openai:NAME@URL",
        )


def memory_of(model: Any) -> int:
    """Return bytes of main memory of an open model and a full batch; on a GPU: one tensor's."""
    sizes = {name: tuple(weight.shape) for name, weight in model.module.named_parameters()}
    if model.module.device.type != "cpu":  # loading holds one tensor at a time
        return 4 * max(map(math.prod, sizes.values()), default=0)
    shape, general = (
        shape_of(model.module.config.to_dict(), sizes),
        model.net.decoder is None,
    )
    size = model.module.dtype.itemsize
    return sum(inference_memory(shape, size, model.tokens, general=general).values())


def tokens_of(module: Any) -> int:
    """Return the number of padded tokens in one batch of an opened model."""
    sizes = {name: tuple(weight.shape) for name, weight in module.named_parameters()}
    shape, device = shape_of(module.config.to_dict(), sizes), module.device.type
    size, total = module.dtype.itemsize, total_memory(device)
    if device != "cpu":  # leave other processes their GPU memory; on a CPU a batch, and so the last
        total = min(total, free_memory(device) + size * shape.values)  # bit, must not depend on it
    return batch_tokens(shape, size, device, total)
