"""Measure this machine's GPU: parity with the CPU, LoRA, generation, memory, a study end to end.

usage: gpu.py [--tiny] [--out FILE] [--models NAME...]

One command, without internet: models of the shapes of Qwen3-0.6B, Llama-3.2-1B and Llama-3.1-8B
are made here with random weights. Needs tuneworthy[train] (torch, transformers, peft) and one GPU;
TRL is measured beside where it is installed. One JSON tells the machine, the versions, and every
figure with its unit and n, or null with a reason. `--tiny` (always on without a GPU) takes the same
paths on the CPU with tiny shapes: it says that they work, and nothing about any GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TUNEWORTHY_CPU_ENGINE"] = "0"  # on a CPU the path that GPUs take, as is its purpose

from _bench import PACKAGES, RESULTS, machine
from _gpu_figures import absent, figure, generation, lora, losses, parity
from _gpu_models import SHAPES, SMALL, WHOLE, Sizes, build, labelled

from tuneworthy.models.local.device import device as device_here
from tuneworthy.models.local.device import free_memory, release, total_memory
from tuneworthy.models.local.machine import inspect_machine, installed

REFERENCE = ("Qwen3-0.6B", "Llama-3.2-1B")  # small enough for fp32 on a CPU
TRAINED = ("Qwen3-0.6B",)  # and for a hundred steps of training there


def main() -> int:
    """Measure and write; return 0 where every figure was taken or is absent for a known reason."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tiny", action="store_true", help="tiny shapes, same paths")
    options.add_argument("--out", type=Path, help="the JSON to write")
    options.add_argument("--models", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    given = options.parse_args()
    device = device_here()
    tiny = given.tiny or device == "cpu"
    sizes = SMALL if tiny else WHOLE
    begun = time.perf_counter()
    told: dict[str, Any] = {
        "machine": {**machine(), **_gpu(device)},
        "versions": {name: installed(name) for name in (*PACKAGES, "tokenizers", "accelerate")},
        "device": device,
        "tiny": tiny,
        "sizes": vars(sizes),
        "models": {},
    }
    with tempfile.TemporaryDirectory() as home:
        for name in given.models:
            told["models"][name] = _model(name, Path(home) / name, device, (tiny, sizes))
        told["study"] = guarded(lambda: study(Path(home), device, tiny))
    told["seconds"] = figure(time.perf_counter() - begun, "s", 1)
    text = json.dumps(told, indent=1, allow_nan=False) + "\n"
    out = given.out or (None if tiny else RESULTS / "gpu.json")
    if out:
        out.write_text(text, "utf-8")
    print(text if out is None else f"gpu: written to {out}")
    return 1 if failed(told) else 0


def _gpu(device: str) -> dict[str, Any]:
    seen = inspect_machine()
    if device == "cpu":
        return {"gpu": None, "gpu_reason": "torch sees no GPU on this machine"}
    return {"gpu": seen.gpu, "gpu_memory": total_memory(device), "gpu_free": free_memory(device)}


def _model(name: str, folder: Path, device: str, how: tuple[bool, Sizes]) -> dict[str, Any]:
    """Make a model and measure it; its files are dropped after."""
    tiny, sizes = how
    need = 0 if tiny else _bytes(name)
    if need > shutil.disk_usage(folder.parent).free:
        return {"all": absent(f"{need / 1e9:.0f} GB of disk are needed in {folder.parent}")}
    print(f"gpu: {name}", file=sys.stderr, flush=True)
    told: dict[str, Any] = {}
    try:
        told["parameters"] = figure(build(name, folder, device, tiny), "weights", 1)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "parity": lambda: parity(folder, device, sizes),
            "loss": lambda: losses(folder, device, sizes),
            "lora": lambda: lora(folder, device, sizes),
            "generation": lambda: generation(folder, device, sizes),
        }
        slow = {"parity": REFERENCE, "loss": TRAINED}
        for part, work in parts.items():
            if name not in slow.get(part, SHAPES) and not tiny:
                told[part] = absent("its reference in fp32 on a CPU would take too long")
                continue
            told[part] = guarded(work)
            release(device)
    finally:
        if name != "Qwen3-0.6B":  # that one is asked in the study
            shutil.rmtree(folder, ignore_errors=True)
    return told


def _bytes(name: str) -> int:
    shape = SHAPES[name]
    inner = (
        shape["num_hidden_layers"]
        * shape["hidden_size"]
        * (3 * shape["intermediate_size"] + 3 * shape["hidden_size"])
    )
    return 3 * (int(inner) + 2 * int(shape["vocab_size"]) * int(shape["hidden_size"]))


def guarded(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured; an error is the reason of its absence, and of a later exit 1."""
    try:
        return work()
    except Exception as error:
        return {**absent(f"{type(error).__name__}: {str(error)[:300]}"), "error": True}


def failed(told: Any) -> bool:
    """Return whether any figure is absent because of an error."""
    if not isinstance(told, dict):
        return False
    return bool(told.get("error")) or any(failed(part) for part in told.values())


def study(home: Path, device: str, tiny: bool) -> dict[str, Any]:
    """Run a small study on the first model, end to end: prompts, LoRA, verdict, report."""
    from tuneworthy.flows.study import RunOptions, run

    folder = home / "Qwen3-0.6B"
    if not folder.exists():
        return absent("Qwen3-0.6B was not made")
    begun = time.perf_counter()
    done = run(
        labelled(home / "study", folder, device, 48 if tiny else 240), RunOptions(brief=True)
    )
    seconds = time.perf_counter() - begun
    runs = done.results.runs
    used = [r for r in runs if r.spec.arm == "lora" and r.state == "measured" and not r.spec.of]
    if not used:
        because = "; ".join(f"{r.spec.name}: {r.state} {r.because}" for r in runs)
        return {**absent(f"lora was not measured: {because[:300]}"), "error": True}
    return {
        "seconds": figure(seconds, "s", 1),
        "verdict": {"value": done.verdict.arm, "status": done.verdict.status},
        "measured": sorted({run.spec.arm for run in runs if run.state == "measured"}),
        "report": (done.folder / "report.html").exists(),
        "rate": (used[0].trace or {}).get("rate"),
        "fingerprint": dict(used[0].fingerprint),
    }


if __name__ == "__main__":
    raise SystemExit(main())
