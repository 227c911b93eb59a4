"""The device that models run on, how it computes, and how much memory it has. Knows no model."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
from pydantic import Field

from tuneworthy.core.errors import TaskError
from tuneworthy.core.free_memory import give_back
from tuneworthy.core.record import Record

_GROUP = Path("/sys/fs/cgroup")


class Placement(Record):
    """Where a local model runs and how: device, precision, and the most rows of one batch.

    `auto` is the GPU that torch sees, and the precision measured to be faster there. `thinking`:
    see Task.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch: Annotated[int, Field(ge=1)] | None = None
    thinking: Literal["auto", "off", "on"] = "auto"


ANYWHERE = Placement()


def device() -> str:
    """Return `cuda` where torch sees such a GPU, else `mps` where it sees Apple's, else `cpu`."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def placed(wanted: str) -> str:
    """Return the device that a task asks for. Raises TaskError where this machine lacks it."""
    import torch

    there = {
        "auto": lambda: True,
        "cpu": lambda: True,
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if not there[wanted]():
        raise TaskError(
            "torch sees no such device on this machine",
            where="task.yaml: device",
            got=f"device: {wanted}, torch {torch.__version__}",
            fix="write `device: auto`, or install the build of torch for this GPU and its driver",
        )
    return device() if wanted == "auto" else wanted


def allow_tf32(device: str, precision: str) -> None:
    """Let fp32 products on CUDA use TF32; other devices and precisions are left as they are.

    It keeps fp32's range and ten bits of the mantissa; without it fp32 leaves the matrix units of
    such a GPU idle.
    """
    if (device, precision) == ("cuda", "float32"):
        import torch

        torch.set_float32_matmul_precision("high")


def marks(device: str, precision: str) -> dict[str, str]:
    """Return what of a device answers may depend on, for a model's fingerprint.

    The threads of torch on a CPU alone, and whether its engine is off; on CUDA how fp32 products
    are taken.
    """
    import torch

    found = {"device": device, "precision": precision}
    if device == "cpu":
        found["threads"] = str(torch.get_num_threads())
        if not cpu_engine():
            found["cpu_engine"] = "off"
    elif (device, precision) == ("cuda", "float32"):
        plain = torch.get_float32_matmul_precision() == "highest"
        found["products"] = "fp32" if plain else "tf32"
    return found


def exact(tensor: Any) -> Any:
    """Return a tensor in double precision; Apple's GPU has none, so its numbers come to the CPU."""
    return tensor.cpu().double() if tensor.device.type == "mps" else tensor.double()


def release(device: str) -> None:
    """Give memory back that nothing uses any more: to the system, and to the device."""
    gc.collect()
    give_back()
    if device == "cpu":
        return
    import torch

    (torch.cuda if device == "cuda" else torch.mps).empty_cache()


def cpu_engine() -> bool:
    """Return whether the CPU engine may be taken: TUNEWORTHY_CPU_ENGINE=0 turns it off.

    Then a model on a CPU takes the general path, the one that GPUs take.
    """
    return os.environ.get("TUNEWORTHY_CPU_ENGINE") != "0"


def free_memory(device: str) -> int:
    """Return the bytes that this process can still take on the device."""
    if device == "cpu":
        limit, used = _group()
        return min(int(psutil.virtual_memory().available), max(limit - used, 0))
    import torch

    if device == "mps":  # memory that the processor shares
        left = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        cached = torch.mps.driver_allocated_memory() - torch.mps.current_allocated_memory()
        return max(0, min(int(left), free_memory("cpu")) + int(cached))
    # What torch has taken from the GPU and holds back for itself is free to us.
    kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(torch.cuda.mem_get_info()[0] + kept)


def total_memory(device: str) -> int:
    """Return the bytes of memory of the device, or as many as this process may take of them."""
    if device == "cpu":
        return min(int(psutil.virtual_memory().total), _group()[0])
    import torch

    if device == "mps":
        return int(torch.mps.recommended_max_memory())
    return int(torch.cuda.mem_get_info()[1])


def _group() -> tuple[int, int]:
    """Return limit and use (bytes) of the container that we run in; a file cache is not in use."""
    try:
        limit = int((_GROUP / "memory.max").read_text("ascii"))
        used = int((_GROUP / "memory.current").read_text("ascii"))
        lines = (_GROUP / "memory.stat").read_text("ascii").splitlines()
        cached = {name: int(size) for name, size in (line.split() for line in lines)}
    except (OSError, ValueError):  # no container, or no limit ("max")
        return int(psutil.virtual_memory().total), 0
    return limit, max(used - cached.get("inactive_file", 0), 0)
