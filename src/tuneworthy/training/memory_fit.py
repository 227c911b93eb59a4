"""Whether a training run fits in memory, and gradient checkpointing where it does not otherwise.

Knows no loop, no adapter format and no task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from tuneworthy.models import _memory
from tuneworthy.models._device import cpu_engine, free_memory, total_memory
from tuneworthy.models._lanes import lanes
from tuneworthy.training.batches import order, parts, shared_length
from tuneworthy.training.forward import Net
from tuneworthy.training.loop import Pace
from tuneworthy.training.render import Rendered
from tuneworthy.training.stack import ROUND
from tuneworthy.training.twin import LoraShape

# What the process holds for each byte in use: freed blocks of other sizes stay with it. On a
# processor 1.55 was measured, with and without checkpointing; the figure for a GPU is a guess.
_HELD = {"cpu": 1.6, "cuda": 1.2, "mps": 1.2}
_PARTS = (16_384, 8192, 4096, 2048, 1024)  # padded tokens at once, the most that fit are taken
_FIX = "train on shorter rows, choose a smaller model or a lower rank, or free some memory"


def make_room(
    net: Net, rows: Sequence[Rendered], lora: LoraShape, pace: Pace, checkpointing: bool | None
) -> tuple[Net, dict[str, Any]]:
    """Return the net to train and the bytes by part that it will take.

    `checkpointing` None: only where the activations do not fit otherwise; it is autograd's, so the
    written-out gradient is then left aside. Raises ModelError where the run does not fit at all.
    """
    where = net.module.device.type
    free, spec = free_memory(where), net.module.config.model_type
    found: dict[str, int] = {}
    general = where != "cpu" or not cpu_engine()
    for on in (False, True) if checkpointing is None else (checkpointing,):
        for size in _PARTS if general else (pace.part_tokens,):
            own = pace.model_copy(update={"part_tokens": size})
            found = estimate(net, rows, lora, own, on)
            if _HELD[where] * sum(found.values()) > free:
                continue
            if on:
                checkpoint_layers(net)
            if general:
                net.fit.tokens = size
            told = {**found, "checkpointing": on, "part_tokens": size}
            return replace(net, hand=None) if on else net, told
    what = "training does not fit in the free memory"
    _memory.refuse(what, found, free, where=spec, fix=_FIX, held=_HELD[where])
    raise AssertionError("refuse raises where it does not fit")


def estimate(
    net: Net, rows: Sequence[Rendered], lora: LoraShape, pace: Pace, checkpointing: bool = False
) -> dict[str, int]:
    """Return the bytes by part of the costliest step of an epoch, weights left out."""
    weights = net.module.named_parameters()
    shapes = {
        name.replace(".base_layer", ""): tuple(weight.shape)
        for name, weight in weights
        if ".lora_" not in name
    }
    shape = _memory.shape_of(net.module.config.to_dict(), shapes)
    size, device = net.module.dtype.itemsize, net.module.device.type
    count = 1 if net.hand else lanes(net.module.device, min(pace.batch, len(rows)))

    way: _memory.Way = "written out" if net.hand else "autograd"
    if checkpointing:
        way = "checkpointing"

    def cost(step: list[_memory.Part]) -> dict[str, int]:
        return _memory.training(
            shape,
            size,
            (lora.rank, lora.targets),
            step,
            lanes=count,
            way=way,
        )

    steps = {tuple(step) for step in _steps(net, rows, pace, count)}
    found = max((cost(list(step)) for step in steps), key=lambda parts: sum(parts.values()))
    # Dev rows are answered between epochs, in the room of the activations.
    tokens = _memory.batch_tokens(shape, size, device, total_memory(device))
    general = device != "cpu" or not cpu_engine()
    need = _memory.asking(shape, size, tokens, general=general)
    answers = sum(need.values()) - need["weights"]
    return {**found, "answers": max(0, answers - found["activations"] - found["logits"])}


def _steps(net: Net, rows: Sequence[Rendered], pace: Pace, count: int) -> list[list[_memory.Part]]:
    """Return the parts of each step of an epoch as they will be read."""
    turn = order(len(rows), 0, 0)
    found = []
    for start in range(0, len(rows), pace.batch):
        batch = [rows[index] for index in turn[start : start + pace.batch]]
        shared = shared_length(batch) if net.shares else 0
        step = []
        for group in parts(batch, max(1, pace.part_tokens // count), shared, count):
            length = max(len(batch[i].ids) for i in group) - shared
            if net.hand:
                length += -(length - 1) % ROUND  # the last token is not read
            scored = sum(batch[i].trained for i in group)
            if net.head is None:
                scored = len(group) * length
            step.append(_memory.Part(len(group), length, shared, scored))
        found.append(step)
    return found


def checkpoint_layers(net: Net) -> None:
    """Let each decoder layer keep only its input, and compute its inside again going backward.

    The same operations on the same numbers: gradients are equal bit for bit on a processor. Not
    the switch of transformers, which works in training mode only (dropout on) and takes the cache
    away, so that no prompt could be shared.
    """
    layers = [part for part in net.body.modules() if isinstance(part, GradientCheckpointingLayer)]
    for index, layer in enumerate(layers):
        layer.forward = _again(layer.forward, index)


def _again(forward: Callable[..., Any], index: int) -> Callable[..., Any]:
    def run(*given: Any, **named: Any) -> Any:
        caches = [one for one in (*given, *named.values()) if isinstance(one, Cache)]
        held = caches[0].layers[index] if caches else None
        before = dict(vars(held)) if held is not None else {}

        def once(*inputs: Any) -> Any:
            if held is not None:  # the second time would append to what the first has appended
                vars(held).update(before)
            return forward(*inputs, **named)

        return checkpoint(once, *given, use_reentrant=False, preserve_rng_state=False)

    return run
