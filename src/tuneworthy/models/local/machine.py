"""Measure this machine: cores, memory, disk, and the speed of fp32 and bf16 products.

Imports torch only for figures that need it. Knows no model.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from tuneworthy.models.local import cpu_engine
from tuneworthy.models.local.device import (
    Placement,
    allow_tf32,
    check_precision,
    device,
    free_memory,
    has_bf16,
    resolve_device,
    total_memory,
)
from tuneworthy.models.local.weights import cache_folder, write_note
from tuneworthy.records.record import Record, digest

_FASTER_FACTOR = 1.3  # bf16 must beat fp32 by this factor: a tie keeps the more exact one
# fp16 is no alternative: its range is too small for some models' activations (Gemma's overflow) and
# for gradients, which would need a scaled loss.
_NO_BF16 = "this GPU has no bf16, and fp16 overflows in some models: fp32 is slower but safe"
_CPU_FLAGS = ("avx2", "fma", "f16c", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
_GPU_DRIVERS = ("/proc/driver/nvidia", "/dev/kfd")  # files of NVIDIA's and AMD's
_CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
_PRODUCT_SIZE = (256, 512, 1536)  # a batch of 256 tokens through a small model's layer


class _Machine(Record):
    """Figures of this machine; a figure that was not measured is None.

    `because` says why the precision was chosen, or why nothing was measured; `advice` how to
    install torch, "" where it fits. `gflops` maps a precision to measured GFLOP/s of a matrix
    product; memory and disk are bytes.
    """

    cpu: str
    cores: int
    features: tuple[str, ...]
    memory: int
    free_memory: int
    free_disk: int
    python: str
    torch: str | None
    threads: int | None
    gpu: str | None
    gpu_memory: int | None = None
    gpu_free_memory: int | None = None
    gflops: dict[str, float] | None
    precision: str | None
    cpu_engine: str | None
    because: str
    advice: str = ""


def inspect_machine() -> _Machine:
    """Return the figures of this machine (under two seconds once torch is imported)."""
    here = {
        "cpu": _cpu(),
        "cores": _cores(),
        "features": _features(),
        "memory": total_memory("cpu"),
        "free_memory": free_memory("cpu"),
        "free_disk": shutil.disk_usage(Path.cwd()).free,
        "python": platform.python_version(),
    }
    if find_spec("torch") is None:
        nothing = dict.fromkeys(("torch", "threads", "gpu", "gflops", "precision", "cpu_engine"))
        return _Machine(**here, **nothing, because="torch is not installed", advice=_advice(""))
    calm_torch()
    import torch

    gpu = (where := device()) != "cpu"
    figures, precision, because = chosen(where)
    return _Machine(
        **here,
        torch=version("torch"),
        threads=torch.get_num_threads(),
        gpu=_gpu(where) if gpu else None,
        gpu_memory=total_memory(where) if gpu else None,
        gpu_free_memory=free_memory(where) if gpu else None,
        gflops=figures,
        precision=precision,
        cpu_engine=_engine(gpu),
        because=because,
        advice="" if gpu else _advice(version("torch"), torch.version.cuda),
    )


def _advice(torch: str, cuda: str | None = None) -> str:
    """Return how to install torch on this machine, or without CUDA where no GPU is; else "".

    On Linux the index of Python packages gives a build with some gigabytes of CUDA.
    """
    extra, gpu = "pip install 'tuneworthy[train]'", any(Path(p).exists() for p in _GPU_DRIVERS)
    build = f"pip install torch --index-url {_CPU_BUILDS} (uv: --torch-backend cpu)"
    if not torch:
        return extra if gpu or sys.platform != "linux" else f"{build}, then {extra}"
    if not cuda or gpu:
        return ""
    return f"torch {torch} carries CUDA {cuda}, and no GPU is here: {build} is smaller"


def _engine(gpu: bool) -> str:
    """Return the state of the CPU engine as a text: not used, not installed, off, or on and how."""
    if gpu:
        return "not used: models run on the GPU"
    if not cpu_engine.installed():
        return f"not installed; {cpu_engine.HOW_TO_INSTALL}"
    if not cpu_engine.enabled():
        return f"off ({cpu_engine.SWITCH}=0)"
    own = "its own" if cpu_engine.gemm_available() else "torch's"
    return f"on, with {own} matrix products"


def calm_torch() -> None:
    """Set the environment so that torch's idle threads sleep soon; call before torch is imported.

    By default they spin for milliseconds: on a shared machine a batch of small products then takes
    ten times as long. Also cap oneDNN's cache of generated kernels at 128 instead of 1,024: every
    new length generates one, .6 MB each, and few lengths recur (bench/journal).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")


def precision_for(device: str) -> str:
    """Return the precision chosen by measurement for models on a device."""
    return chosen(device)[1]


def resolve_placement(place: Placement, precision: str | None = None) -> tuple[str, str]:
    """Return the device and precision for a model; allow TF32 products where they apply.

    `precision`, then that of `place`, override the measured choice. Raises TaskError if the device
    is absent or lacks the precision.
    """
    where, wanted = resolve_device(place.device), precision or place.precision
    check_precision(where, wanted)
    chosen_precision = precision_for(where) if wanted == "auto" else wanted
    allow_tf32(where, chosen_precision)
    return where, chosen_precision


@lru_cache
def chosen(device: str) -> tuple[dict[str, float], str, str]:
    """Return (GFLOP/s by precision, {} without bf16; chosen precision; why) of a device.

    Measured and cached once per machine, torch version and thread count: a study resumed tomorrow
    must not change its precision because the machine was busy today.
    """
    import torch

    on_gpu = device == "cuda"
    if not has_bf16(device):
        return {}, "float32", _NO_BF16
    here = device if device == "cpu" else _gpu(device)
    name = [_cpu(), here, version("torch"), torch.get_num_threads(), _FASTER_FACTOR]
    note = cache_folder() / "machine" / f"{digest(name, 32)}.json"
    try:
        figures = {str(k): float(v) for k, v in json.loads(note.read_text("utf-8")).items()}
        return _chosen_precision(figures, on_gpu)
    except (OSError, ValueError, AttributeError, KeyError, RecursionError):
        figures = measure(device)
        write_note(note, json.dumps(figures))
        return _chosen_precision(figures, on_gpu)


def _chosen_precision(
    figures: dict[str, float], on_gpu: bool = False
) -> tuple[dict[str, float], str, str]:
    single, half = figures["float32"], figures["bfloat16"]
    if on_gpu:  # bf16 takes half the memory, and dedicated units make it faster on any such GPU
        why = f"this GPU computes in bf16 ({half / single:.1f} times as fast as fp32 here)"
        return figures, "bfloat16", why
    if half >= _FASTER_FACTOR * single:
        return figures, "bfloat16", f"bf16 is {half / single:.1f} times as fast as fp32 here"
    speeds = f"{half:.0f} and {single:.0f} GFLOP/s"
    return figures, "float32", f"bf16 is not {_FASTER_FACTOR} times as fast as fp32: {speeds}"


def measure(device: str = "cpu", seconds: float = 0.4) -> dict[str, float]:
    """Return GFLOP/s of a matrix product in fp32 and in bf16, each the best within `seconds`."""
    import torch

    rows, width, out = _PRODUCT_SIZE if device == "cpu" else (16 * n for n in _PRODUCT_SIZE)
    gflops = {}
    for name in ("float32", "bfloat16"):
        made = {"dtype": getattr(torch, name), "device": device}
        left, right = torch.ones(rows, width, **made), torch.ones(width, out, **made)

        def once(a: Any = left, b: Any = right) -> None:
            a @ b
            if device != "cpu":
                (torch.cuda if device == "cuda" else torch.mps).synchronize()

        gflops[name] = 2e-9 * rows * width * out / _best_seconds(once, seconds)
    return gflops


def _gpu(device: str) -> str:
    import torch

    return str(torch.cuda.get_device_name()) if device == "cuda" else f"Apple GPU of {_cpu()}"


def _best_seconds(once: Callable[[], None], seconds: float) -> float:
    times: list[float] = []
    begun = time.perf_counter()
    while not times or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    return min(times)


def _cores() -> int:
    try:
        return len(psutil.Process().cpu_affinity() or []) or psutil.cpu_count() or 1
    except (AttributeError, psutil.Error):  # no affinity on macOS
        return psutil.cpu_count() or 1


@lru_cache
def _cpuinfo_text() -> str:
    try:
        return Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return ""


def _cpu() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in _cpuinfo_text().splitlines()
        if "model name" in line
    ]
    return names[0] if names else platform.processor() or platform.machine()


def processor_kind() -> str:
    """Return the processor's name and what it computes with; on one kind equal runs are equal."""
    return " ".join((_cpu(), *_features()))


def _features() -> tuple[str, ...]:
    lines = [
        line
        for line in _cpuinfo_text().splitlines()
        if line.lower().startswith(("flags", "features"))
    ]
    known = set(lines[0].split()) if lines else set()
    return tuple(flag for flag in _CPU_FLAGS if flag in known)


def installed(package: str) -> str | None:
    """Return the version of an installed package, None if it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
