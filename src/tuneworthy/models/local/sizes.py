"""Check that a model fits in the memory of its device, and choose the size of its batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tuneworthy.core.errors import ModelError
from tuneworthy.models.local import cpu_engine
from tuneworthy.models.local import memory as _memory
from tuneworthy.models.local.config import read_config
from tuneworthy.models.local.device import free_memory, total_memory
from tuneworthy.models.local.weights import shapes


def check_memory(files: Sequence[Path], precision: str, device: str) -> None:
    """Raise DoesNotFit if weights and a batch do not fit in the free memory; read headers only."""
    folder, size = files[0].parent, getattr(torch, precision).itemsize
    general = device != "cpu" or not cpu_engine.enabled()
    try:
        shape = _memory.shape_of(read_config(folder), shapes(files))
        tokens = _memory.batch_tokens(shape, size, device, total_memory(device))
        parts = _memory.inference_memory(shape, size, tokens, general=general)
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
        _memory.refuse(
            f"the model does not fit in the free memory ({where})",
            need,
            free_memory(where),
            where=str(folder),
            fix="choose a smaller model, free some memory, or serve it and use openai:NAME@URL",
        )


def memory_of(model: Any) -> int:
    """Return the bytes of main memory that an opened model takes with one full batch."""
    sizes = {name: tuple(weight.shape) for name, weight in model.module.named_parameters()}
    if model.module.device.type != "cpu":  # loading holds one tensor at a time
        return 4 * max(map(math.prod, sizes.values()), default=0)
    shape, general = (
        _memory.shape_of(model.module.config.to_dict(), sizes),
        model.net.decoder is None,
    )
    size = model.module.dtype.itemsize
    return sum(_memory.inference_memory(shape, size, model.tokens, general=general).values())


def tokens_of(module: Any) -> int:
    """Return the number of padded tokens in one batch of an opened model."""
    sizes = {name: tuple(weight.shape) for name, weight in module.named_parameters()}
    shape, device = _memory.shape_of(module.config.to_dict(), sizes), module.device.type
    size, total = module.dtype.itemsize, total_memory(device)
    if device != "cpu":  # leave other processes their GPU memory; on a CPU a batch, and so the last
        total = min(total, free_memory(device) + size * shape.values)  # bit, must not depend on it
    return _memory.batch_tokens(shape, size, device, total)
