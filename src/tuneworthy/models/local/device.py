"""Choose the device that models run on, and measure its memory. Knows no model."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
from pydantic import Field

from tuneworthy.models.local import cpu_engine
from tuneworthy.records.errors import TaskError
from tuneworthy.records.freed_memory import trim_heap
from tuneworthy.records.record import Record

_CGROUP_FOLDER = Path("/sys/fs/cgroup")


class Placement(Record):
    """Where and how a local model runs: device, precision, and the most rows of one batch.

    `auto` is the GPU that torch finds (else the CPU), and the precision measured to be fastest
    there. `thinking`: see Task.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch: Annotated[int, Field(ge=1)] | None = None
    thinking: Literal["auto", "off", "on"] = "auto"


ANYWHERE = Placement()


def device() -> str:
    """Return `cuda` if torch finds a CUDA GPU, else `mps` if it finds Apple's GPU, else `cpu`."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_device(wanted: str) -> str:
    """Return the device for a task's `device:`. Raises TaskError if this machine lacks it."""
    import torch

    available = {
        "auto": lambda: True,
        "cpu": lambda: True,
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if not available[wanted]():
        raise TaskError(
            "torch sees no such device on this machine",
            where="task.yaml: device",
            got=f"device: {wanted}, torch {torch.__version__}",
            fix="write `device: auto`, or install the build of torch for this GPU and its driver",
        )
    return device() if wanted == "auto" else wanted


def has_bf16(device: str) -> bool:
    """Return whether a device computes in bf16 itself (a CPU always does, if slowly).

    CUDA GPUs do from compute capability 8.0 on, Apple's under macOS 14 or newer; torch emulates
    bf16 on older CUDA GPUs for some operations only.
    """
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device != "mps" or bool(torch.backends.mps.is_macos_or_newer(14, 0))


def check_precision(device: str, precision: str) -> None:
    """Raise TaskError if a device lacks the precision that a task names."""
    if precision == "bfloat16" and not has_bf16(device):
        raise TaskError(
            "this device does not compute in the precision that is named",
            where="task.yaml: precision",
            got=f"precision: {precision}, device: {device}",
            fix="write `precision: auto`, which takes fp32 here, or `device: cpu`",
        )


def allow_tf32(device: str, precision: str) -> None:
    """Allow TF32 for fp32 products on CUDA; other devices and precisions stay as they are.

    TF32 keeps fp32's range and ten bits of the mantissa; without it fp32 leaves the GPU's matrix
    units idle.
    """
    if (device, precision) == ("cuda", "float32"):
        import torch

        torch.set_float32_matmul_precision("high")


def device_fingerprint(device: str, precision: str) -> dict[str, str]:
    """Return the properties of a device that replies may depend on, for a model's fingerprint.

    On a CPU: torch's thread count, and whether the CPU engine is off; on CUDA: the mode of fp32.
    """
    import torch

    properties = {"device": device, "precision": precision}
    if device == "cpu":
        properties["threads"] = str(torch.get_num_threads())
        if not cpu_engine.enabled():
            properties["cpu_engine"] = "off"
    elif (device, precision) == ("cuda", "float32"):
        plain = torch.get_float32_matmul_precision() == "highest"
        properties["products"] = "fp32" if plain else "tf32"
    return properties


def exact(tensor: Any) -> Any:
    """Return a tensor in double precision; it moves to the CPU from Apple's GPU, which lacks it."""
    return tensor.cpu().double() if tensor.device.type == "mps" else tensor.double()


def release(device: str) -> None:
    """Collect garbage, then return unused memory to the system and to the device."""
    gc.collect()
    trim_heap()
    if device == "cpu":
        return
    import torch

    (torch.cuda if device == "cuda" else torch.mps).empty_cache()


def free_memory(device: str) -> int:
    """Return the bytes that this process can still allocate on the device."""
    if device == "cpu":
        limit, used = _container_memory()
        return min(int(psutil.virtual_memory().available), max(limit - used, 0))
    import torch

    if device == "mps":  # memory shared with the CPU
        left = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        cached = torch.mps.driver_allocated_memory() - torch.mps.current_allocated_memory()
        return max(0, min(int(left), free_memory("cpu")) + int(cached))
    # Memory that torch has reserved and not allocated is free for this process.
    kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(torch.cuda.mem_get_info()[0] + kept)


def total_memory(device: str) -> int:
    """Return a device's total memory in bytes; for `cpu`, at most the container's limit."""
    if device == "cpu":
        return min(int(psutil.virtual_memory().total), _container_memory()[0])
    import torch

    if device == "mps":
        return int(torch.mps.recommended_max_memory())
    return int(torch.cuda.mem_get_info()[1])


def _container_memory() -> tuple[int, int]:
    """Return (limit, bytes used but for file cache) of this container; (all memory, 0) without."""
    try:
        limit = int((_CGROUP_FOLDER / "memory.max").read_text("ascii"))
        used = int((_CGROUP_FOLDER / "memory.current").read_text("ascii"))
        lines = (_CGROUP_FOLDER / "memory.stat").read_text("ascii").splitlines()
        cached = {name: int(size) for name, size in (line.split() for line in lines)}
    except (OSError, ValueError):  # no container, or no limit ("max")
        return int(psutil.virtual_memory().total), 0
    return limit, max(used - cached.get("inactive_file", 0), 0)
