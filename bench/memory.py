"""Peak memory and seconds of `check` on a large file and of `demo`, each in a process of its own.

usage: memory.py [rows] [--demo]   1,000,000 short rows where nothing else is said: each is read and
checked, 100,000 drawn by content are compared with each other. The demo takes minutes and all
cores, so it is run only where it is asked for; without it its last figures stay.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from _bench import RESULTS, write

import tuneworthy

ROWS, GOAL_CHECK, GOAL_DEMO = 1_000_000, 1000, 2500
CALL = "from tuneworthy.cli import main; main()"


def rows(folder: Path, n: int) -> None:
    """Write n rows of ten words and one of ten labels, and their task file."""
    draw = Random(0)
    words = [f"w{i}" for i in range(5000)]
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(n):
            text = " ".join(draw.choices(words, k=10))
            file.write(json.dumps({"input": text, "output": f"label{draw.randrange(10)}"}) + "\n")
    (folder / "task.yaml").write_text('{"name": "rows", "data": {"file": "rows.jsonl"}}', "utf-8")


def peak(folder: Path, *words: str) -> dict[str, Any]:
    """Run a command of ours; return its seconds, its CPU seconds, its peak in MB and its output.

    The peak is the largest of the process and those it started, as the system counted it. This
    process stays small, because a child begins with the peak of the one that started it.
    """
    begun = time.perf_counter()
    out = (folder / "out.txt").open("wb")
    here = {**os.environ, "PYTHONPATH": str(Path(tuneworthy.__file__).parents[1])}
    child = subprocess.Popen([sys.executable, "-c", CALL, *words], cwd=folder, stdout=out, env=here)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    out.close()
    if child.returncode:
        raise SystemExit(f"memory: {' '.join(words)} ended with {child.returncode}")
    return {
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "mb": round(used.ru_maxrss / 1024),
        "out": (folder / "out.txt").read_text("utf-8"),
    }


def checked(n: int) -> dict[str, Any]:
    """Return the figures of `check` on n rows, and what became of the rows."""
    with tempfile.TemporaryDirectory() as name:
        rows(Path(name), n)
        told = peak(Path(name), "check", "task.yaml", "--json")
    audit = json.loads(told.pop("out"))
    return {**told, "rows": audit["rows"], "used": audit["used"], "goal_mb": GOAL_CHECK}


def demo() -> dict[str, Any]:
    """Return the figures of the demo in an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        told = peak(Path(name), "demo", "--folder", "demo")
    told.pop("out")
    return {**told, "goal_mb": GOAL_DEMO}


def main() -> None:
    """Measure, print and write bench/results/memory.json."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    last = RESULTS / "memory.json"
    told: dict[str, Any] = {"check": checked(numbers[0] if numbers else ROWS)}
    if "--demo" in sys.argv:
        told["demo"] = {**demo(), "date": time.strftime("%Y-%m-%d")}
    elif last.exists() and "demo" in (before := json.loads(last.read_text("utf-8"))):
        told["demo"] = before["demo"]
    summary = {}
    for what, found in told.items():
        text = f"{what}: MB at the peak (goal {found['goal_mb']:,})"
        if what == "check":
            text = f"check of {found['rows']:,} rows: MB at the peak (goal {found['goal_mb']:,})"
        summary[text] = found["mb"]
        print(f"memory: {text}: {found['mb']}, in {found['seconds']} s")
    write("memory", {**told, "n": 1, "summary": summary})


if __name__ == "__main__":
    main()
