"""Ours and a peer's work, alternately in one run on one machine: medians, their ratio, one file.

A benchmark is one file in this folder with `main()`; it calls `alternate` and `write`. Figures are
reported, never asserted: another machine gives others. Run by itself, this file prints the table of
all results.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuneworthy.models.local.machine import inspect_machine

sys.path.append(str(Path(__file__).parents[1]))  # the package bench.atlas, for scripts run by name
os.environ.setdefault("TUNEWORTHY_LOOKS", "folder")  # a benchmark is no look at anybody's rows
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "transformers", "peft", "trl", "scikit-learn", "tuneworthy")


def repetitions(usual: int = 5) -> int:
    """Return how often each side runs: the first argument of the command line, or `usual`."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else usual


def alternate(
    sides: Mapping[str, Callable[[], Any]],
    n: int,
    warm: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Run the sides one after the other, `n` times over; return seconds by side and medians.

    With `warm` one more round comes first and is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(n + warm):
        for name, work in sides.items():
            start = clock()
            work()
            took = clock() - start
            if turn >= warm:
                seconds[name].append(round(took, 4))
            print(f"  {name}: {took:.2f} s", file=sys.stderr, flush=True)
    return {"n": n, "seconds": seconds, "median": medians(seconds)}


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median by side."""
    return {name: round(statistics.median(times), 4) for name, times in seconds.items()}


def ratios(median: Mapping[str, float], ours: str) -> dict[str, float]:
    """Return how many times as long as `ours` each other side takes."""
    return {name: round(m / median[ours], 2) for name, m in median.items() if name != ours}


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    seen = inspect_machine()
    return {
        "cpu": seen.cpu,
        "cores": seen.cores,
        "features": list(seen.features),
        "gflops": seen.gflops,
        "precision": seen.precision,
        "load": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }


@contextmanager
def program_beside(busy: bool) -> Iterator[None]:
    """Keep one core busy during the block, or do nothing."""
    if not busy:
        yield
        return
    program = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        program.kill()
        program.wait()


def exponent(sizes: Sequence[float], figures: Sequence[float]) -> float:
    """Return the slope of log figure over log size (least squares): 1 linear, 2 quadratic."""
    fitted = statistics.linear_regression(
        [math.log(s) for s in sizes], [math.log(f) for f in figures]
    )
    return round(fitted.slope, 2)


def table() -> str:
    """Return one line a figure of every file in bench/results; a phrase names the goal, if any."""
    lines = []
    for path in sorted(RESULTS.glob("*.json")):
        told = json.loads(path.read_text("utf-8"))
        machine = told.get("machine") if isinstance(told, dict) else None  # else a list of cases
        load = machine.get("load", "?") if isinstance(machine, dict) else "?"
        summary = told.get("summary") if isinstance(told, dict) else None
        for what, figure in (summary or dict(_ratios(told))).items():
            lines.append(f"{path.stem:<10} {what:<64} {figure!s:>12}   load {load}")
    return "\n".join(lines)


def _ratios(told: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield (dotted path, number) of all that a file calls a ratio, or one thing over another."""
    for key, value in told.items() if isinstance(told, dict) else ():
        name = f"{path}.{key}".lstrip(".")
        if isinstance(value, int | float) and ("ratio" in name or "_over_" in name):
            yield name, value
        yield from _ratios(value, name)


def write(name: str, told: Mapping[str, Any]) -> None:
    """Write bench/results/NAME.json: the figures, the machine and the versions.

    `summary` in it maps a phrase to the figure that the final table shows.
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except ImportError:
            versions[package] = None
    RESULTS.mkdir(exist_ok=True)
    whole = {**told, "machine": machine(), "versions": versions}
    (RESULTS / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    print(table())
