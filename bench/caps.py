"""Whether a cap on minutes is kept: whole studies at caps of minutes, quiet and beside a program.

usage: caps.py [repetitions] [cap,cap,...]   2 and 1,2,5,20 unless said; a study that is stored is
not run again: to go on is to call again.
Three tasks: recorded answers, a classifier, and arms of the embedded model that train. A study is
`tuneworthy run --minutes CAP` in a process and a store of its own; its seconds count from start to
end. `busy`: a program keeps one core busy meanwhile. Kept: at most 1.1 times the cap, and 10 s.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from _bench import RESULTS, machine, program_beside, write

from tuneworthy.suite import STUDIES, write_recorded
from tuneworthy.suite import write as write_task

CAPS = (1.0, 2.0, 5.0, 20.0)
FIRST_LOOK = "first look after "


def main() -> None:
    """Run what is not stored yet; write bench/results/caps.json."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    caps = [float(cap) for cap in sys.argv[2].split(",")] if len(sys.argv) > 2 else CAPS
    path = RESULTS / "caps.json"
    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    studies: dict[str, Any] = told.setdefault("studies", {})
    for at in range(times):
        for cap in caps:
            for kind in ("recorded", "classifier", "embedded"):
                for load in ("quiet", "busy"):
                    name = f"{kind}, {cap:g} min, {load}, {at + 1}"
                    if name not in studies:
                        studies[name] = study(kind, cap, load)
                        print(f"{name}: {studies[name]}", file=sys.stderr, flush=True)
                        write("caps", {"studies": studies, "summary": summary(studies)})
    print(summary(studies))


def study(kind: str, cap: float, load: str) -> dict[str, Any]:
    """Return the seconds of one study beside its cap, its first look, its verdict's first words."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / kind
        task = made(kind, folder)
        command = ["run", str(task), "--minutes", f"{cap:g}m"]
        with program_beside(load == "busy"):
            begun = time.perf_counter()
            run = [sys.executable, "-m", "tuneworthy", *command]
            done = subprocess.run(run, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - begun
    looks = [line for line in done.stderr.splitlines() if line.startswith(FIRST_LOOK)]
    return {
        "seconds": round(seconds, 1), "cap": 60 * cap, "rc": done.returncode,
        "kept": seconds <= 66 * cap + 10, "said": done.stdout.strip()[:70],
        "first look": looks[0].removeprefix(FIRST_LOOK).partition(":")[0] if looks else "",
        **machine(),
    }  # fmt: skip


def made(kind: str, folder: Path) -> Path:
    """Write the task of a kind; return its file."""
    if kind == "recorded":
        return write_recorded(next(iter(STUDIES)), folder)
    path = write_task("clause_type" if kind == "classifier" else "support_tickets", folder)
    if kind == "classifier":
        task = yaml.safe_load(path.read_text("utf-8"))
        path.write_text(json.dumps({**task, "arms": ["majority", "tfidf"]}), "utf-8")
    return path


def summary(studies: dict[str, Any]) -> dict[str, Any]:
    """Return how many studies kept their cap, and the longest beside it."""
    over = {name: one["seconds"] / one["cap"] for name, one in studies.items()}
    broken = [name for name, one in studies.items() if not one["kept"]]
    return {"studies": len(studies), "kept": len(studies) - len(broken), "broken": broken,
            "longest beside its cap": round(max(over.values(), default=0.0), 3)}  # fmt: skip


if __name__ == "__main__":
    main()
