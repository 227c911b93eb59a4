"""Check that a training run fits in memory; turn on gradient checkpointing if it is needed.

Knows no loop, no adapter format and no task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from tuneworthy.models.local import cpu_engine
from tuneworthy.models.local import memory as _memory
from tuneworthy.models.local.device import free_memory, total_memory
from tuneworthy.models.train.loop import TrainingSchedule
from tuneworthy.models.train.loss import Net
from tuneworthy.models.train.schedule import order
from tuneworthy.models.train.training_data import EncodedExample
from tuneworthy.models.train.twin import LoraShape
from tuneworthy.records.tokens import parts, shared_length

# Memory held per byte in use: the allocator keeps freed blocks of other sizes. On a CPU 1.55 was
# measured, with and without checkpointing; the figure for a GPU is a guess.
_MEMORY_FACTOR = {"cpu": 1.6, "cuda": 1.2, "mps": 1.2}
# Padded tokens at once; the largest that fits is used.
_PART_TOKENS = (16_384, 8192, 4096, 2048, 1024)
_FIX = "train on shorter rows, choose a smaller model or a lower rank, or free some memory"
_FIX_FULL = "train an adapter instead (the arm lora), choose a smaller model, or free some memory"
TRAINED_BYTES = 4  # of a number in full tuning: half precision loses small steps


def fit_memory(
    net: Net,
    rows: Sequence[EncodedExample],
    lora: LoraShape,
    pace: TrainingSchedule,
    checkpointing: bool | None,
) -> tuple[Net, dict[str, Any]]:
    """Return the net set up to fit in memory, and the plan of `plan_memory`."""
    memory = plan_memory(net, rows, lora, pace, checkpointing)
    return apply_plan(net, memory), memory


def apply_plan(net: Net, memory: dict[str, Any]) -> Net:
    """Return the net set up as the plan `memory` says: size of parts, checkpointed layers."""
    if memory["checkpointing"]:
        checkpoint_layers(net)
    if _uses_general_path(net):
        net.fit.tokens = memory["part_tokens"]
    return replace(net, trainer=None) if memory["checkpointing"] else net


def _uses_general_path(net: Net) -> bool:
    return net.module.device.type != "cpu" or not cpu_engine.enabled()


def plan_memory(
    net: Net,
    rows: Sequence[EncodedExample],
    lora: LoraShape | None,
    pace: TrainingSchedule,
    checkpointing: bool | None,
) -> dict[str, Any]:
    """Return the bytes of training by part, with the chosen `checkpointing` and `part_tokens`.

    `lora` None: all weights, in a copy that is not made yet. `checkpointing` None: only if the
    activations do not fit otherwise; it needs autograd, so it disables the hand-written gradient.
    Raises DoesNotFit if the run does not fit at all.
    """
    where = net.module.device.type
    free, spec = free_memory(where), net.module.config.model_type
    needs: dict[str, int] = {}
    for on in (False, True) if checkpointing is None else (checkpointing,):
        for size in _PART_TOKENS if _uses_general_path(net) else (pace.part_tokens,):
            own = pace.model_copy(update={"part_tokens": size})
            needs = estimate(net, rows, lora, own, on)
            if _allocator_overhead(needs, where, lora) * sum(needs.values()) <= free:
                return {**needs, "checkpointing": on, "part_tokens": size}
    what = "training does not fit in the free memory"
    fix = _FIX if lora else _FIX_FULL
    _memory.refuse(
        what, needs, free, where=spec, fix=fix, held=_allocator_overhead(needs, where, lora)
    )
    raise AssertionError("refuse raises where it does not fit")


def _allocator_overhead(needs: dict[str, int], where: str, lora: LoraShape | None) -> float:
    """Return the factor from bytes in use to bytes held by the allocator, at least 1.

    Whole weights, their gradient and the optimizer's state are a few large blocks, which the
    allocator returns: full tuning of SmolLM2-135M held less than the plain sum (bench/journal).
    """
    whole = 0 if lora else sum(needs[name] for name in ("weights", "gradient", "optimizer"))
    total = sum(needs.values())
    return _MEMORY_FACTOR[where] - (_MEMORY_FACTOR[where] - 1) * whole / total


def estimate(
    net: Net,
    rows: Sequence[EncodedExample],
    lora: LoraShape | None,
    pace: TrainingSchedule,
    checkpointing: bool = False,
) -> dict[str, int]:
    """Return the bytes by part of an epoch's costliest step, without the base's weights."""
    weights = net.module.named_parameters()
    shapes = {
        name.replace(".base_layer", ""): tuple(weight.shape)
        for name, weight in weights
        if ".lora_" not in name
    }
    shape = _memory.shape_of(net.module.config.to_dict(), shapes)
    own, device = net.module.dtype.itemsize, net.module.device.type
    size = own if lora else max(own, TRAINED_BYTES)
    count = 1 if net.trainer else net.parallel(min(pace.batch, len(rows)))

    way: _memory.Way = "written out" if net.trainer else "autograd"
    if checkpointing:
        way = "checkpointing"

    def cost(step: list[_memory.Part]) -> dict[str, int]:
        return _memory.training_memory(
            shape,
            size,
            _memory.Adapted(lora.rank, lora.targets, lora.dora) if lora else None,
            step,
            lanes=count,
            way=way,
        )

    steps = {tuple(step) for step in _step_parts(net, rows, pace, count)}
    costliest = max((cost(list(step)) for step in steps), key=lambda parts: sum(parts.values()))
    # Dev rows are answered between epochs, when the memory of the activations is free.
    tokens = _memory.batch_tokens(shape, own, device, total_memory(device))
    need = _memory.inference_memory(shape, own, tokens, general=_uses_general_path(net))
    answers = sum(need.values()) - need["weights"]
    if lora is None:  # dev rows are answered by the weights as saved, which are opened beside
        answers += 2 * need["weights"]
    return {
        **costliest,
        "answers": max(0, answers - costliest["activations"] - costliest["logits"]),
    }


def _step_parts(
    net: Net, rows: Sequence[EncodedExample], pace: TrainingSchedule, count: int
) -> list[list[_memory.Part]]:
    """Return for each step of an epoch the sizes of its parts, grouped as in training.

    The first step has the longest rows: in some epoch they may meet in one step.
    """
    longest = sorted(rows, key=lambda row: -len(row.ids))[: pace.batch]
    drawn = [rows[index] for index in order(len(rows), 0, 0)]
    steps = []
    for batch in (
        longest,
        *(drawn[at : at + pace.batch] for at in range(0, len(rows), pace.batch)),
    ):
        shared = shared_length(batch) if net.shares else 0
        step = []
        for group in parts(batch, max(1, pace.part_tokens // count), shared, count):
            length = max(len(batch[i].ids) for i in group) - shared
            if net.trainer:
                length += -(length - 1) % cpu_engine.ROUND  # the last token is not read
            scored = sum(len(batch[i].ids) - batch[i].loss_start for i in group)
            if net.head is None:
                scored = len(group) * length
            step.append(_memory.Part(len(group), length, shared, scored))
        steps.append(step)
    return steps


def checkpoint_layers(net: Net) -> None:
    """Make each decoder layer store only its input and recompute the rest in the backward pass.

    The same operations on the same numbers: gradients are equal bit for bit on a CPU. transformers'
    own switch is not used: it works in training mode only (dropout on) and disables the cache, so
    that no prompt could be shared.
    """
    layers = [part for part in net.body.modules() if isinstance(part, GradientCheckpointingLayer)]
    for index, layer in enumerate(layers):
        layer.forward = _checkpointed(layer.forward, index)


def _checkpointed(forward: Callable[..., Any], index: int) -> Callable[..., Any]:
    def run(*given: Any, **named: Any) -> Any:
        caches = [value for value in (*given, *named.values()) if isinstance(value, Cache)]
        held = caches[0].layers[index] if caches else None
        before = dict(vars(held)) if held is not None else {}

        def once(*inputs: Any) -> Any:
            if held is not None:  # undo the first run's append, or the recomputation appends again
                vars(held).update(before)
            return forward(*inputs, **named)

        return checkpoint(once, *given, use_reentrant=False, preserve_rng_state=False)

    return run
