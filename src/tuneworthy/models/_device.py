"""The device that models run on, and how much memory it has. Knows no model."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

_GROUP = Path("/sys/fs/cgroup")


def device() -> str:
    """Return `cuda` where torch sees a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


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

    # What torch has taken from the GPU and holds back for itself is free to us.
    kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(torch.cuda.mem_get_info()[0] + kept)


def total_memory(device: str) -> int:
    """Return the bytes of memory of the device, or as many as this process may take of them."""
    if device == "cpu":
        return min(int(psutil.virtual_memory().total), _group()[0])
    import torch

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
