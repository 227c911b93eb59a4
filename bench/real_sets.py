"""Default studies of real rows: what is named, how firmly, in how many minutes, what is left out.

usage: real_sets.py DATA LABEL [--source FOLDER] [--minutes M] [--sets a,b] [--rows N]
                    [--keep FOLDER] [--busy] [--whole]

DATA holds one folder a public set (`train.jsonl`, `task.json`); of each the first N rows (400) are
all the labelled rows there are. LABEL names the figures (before, after, full), FOLDER is the `src`
of the code that runs (this one's unless said). A set that LABEL has is not run again: to go on is
to call again. `--busy`: a program keeps one core busy meanwhile. `--whole`: every arm on all rows,
whatever it takes; the other labels are judged by it. `--keep FOLDER`: the studies stand there, and
one that was broken off goes on (its minutes are those of the last call). Writes
bench/results/real_sets.json; without LABEL it prints the table of all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _bench import RESULTS, machine, program_beside
from bench.atlas.public_sets import CHOOSE, SETS

NAMES = ("banking77", "e2e_style", "gsm8k", "piqa_general", "snips_json", "xquad_docs")
BESIDE = ("harms", "changes")
SEARCH = "optimised_prompt"
WHOLE, MARGIN = "whole", 0.05  # the label of the references, and the margin of the verdicts
CALL = """
import json, sys, time
begun = time.perf_counter()
import tuneworthy
from tuneworthy.flows.study import RunOptions, run
seen, looks = [], []
def watch(event, data):
    if event == "arm":
        seen.append((time.perf_counter() - begun, data.spec.name))
    if event == "say" and str(data).startswith("first look after"):
        looks.append([time.perf_counter() - begun, str(data)])
study = run(sys.argv[1], RunOptions(), watch)
where = str(study.folder.resolve())
print(json.dumps([time.perf_counter() - begun, where, seen, looks, tuneworthy.__version__]))
"""


def written(
    data: Path, name: str, folder: Path, rows: int, minutes: float | None, whole: bool = False
) -> Path:
    """Write the task of a set with its first rows; return the task file."""
    about = json.loads((data / name / "task.json").read_text("utf-8"))
    lines = (data / name / "train.jsonl").read_text("utf-8").splitlines()
    if len(lines) < rows:
        lines += (data / name / "test.jsonl").read_text("utf-8").splitlines()
    how = SETS[name]
    read = [how.row(json.loads(line)) for line in lines[:rows]]
    told = [{key: row[key] for key in ("input", "output")} for row in read]
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in told), "utf-8")
    task: dict[str, Any] = {
        "name": name, "instruction": about["instruction"] or CHOOSE,
        "output": {"type": how.type}, "success": {"metric": how.metric},
        "data": {"train": "rows.jsonl", **({"docs": "docs.jsonl"} if how.documents else {})},
    }  # fmt: skip
    if minutes is not None:
        task["budget"] = {"minutes": minutes}
    if whole:
        task["budget"] = {"minutes": 100_000, "stages": False}
    if "docs" in task["data"]:
        text = (data / name / "docs.jsonl").read_text("utf-8")
        (folder / "docs.jsonl").write_text(text, "utf-8")
    path = folder / "task.yaml"
    path.write_text(json.dumps(task), "utf-8")  # JSON is YAML
    return path


def studied(path: Path, source: Path) -> dict[str, Any]:
    """Run the study of a task file with the code at `source`; return what it said, in figures."""
    inherited = {**os.environ, "PYTHONPATH": str(source), "TUNEWORTHY_LOOKS": "folder"}
    words = [sys.executable, "-c", CALL, path.name]
    done = subprocess.run(words, cwd=path.parent, stdout=subprocess.PIPE, env=inherited, check=True)
    seconds, folder, seen, looks, version = json.loads(
        done.stdout.decode().strip().splitlines()[-1]
    )
    results = json.loads((Path(folder) / "results.json").read_text("utf-8"))
    verdict, evidence, plan = (results[key] for key in ("verdict", "evidence", "plan"))
    named = next((arm for arm in verdict["arms"] if arm["name"] == verdict["arm"]), None)
    ends = [*(start for start, _ in seen[1:]), seconds]
    spent: dict[str, float] = {}
    for (start, arm), end in zip(seen, ends, strict=True):
        spent[arm] = round(spent.get(arm, 0.0) + end - start, 1)
    wrong = {row["cause"]: row["share"] for row in verdict["wrong"]}
    return {
        "use": verdict["use"], "arm": verdict["arm"], "status": verdict["status"],
        "left": (verdict["left_on_table"] or {}).get("points"),
        "score": named and named["score"], "minutes": round(seconds / 60, 2),
        "first_look": looks[0] if looks else None,
        "questions": {one["name"]: one["answer"] for one in verdict["questions"]},
        "arms": {a["name"]: a["score"] for a in verdict["arms"] if a["score"]},
        "deltas": {a["name"]: a["delta"] for a in verdict["arms"] if a["delta"]},
        "left_out": [a["spec"]["name"] for a in plan["arms"] if a["because"]],
        "cuts": plan["cuts"], "steps": results.get("steps", []),
        "beside": [*(key for key in BESIDE if evidence.get(key)),
                   *(a["name"] for a in verdict["arms"] if a["name"] == SEARCH and a["score"])],
        "wrong": wrong, "next": verdict["next"]["do"], "because": verdict["because"],
        "spent": spent, "version": version,
    }  # fmt: skip


def table(told: dict[str, dict[str, Any]]) -> str:
    """Return one line a set and label."""
    lines = []
    for name in NAMES:
        whole = told.get(WHOLE, {}).get(name)
        for label, sets in told.items():
            if (one := sets.get(name)) is None:
                continue
            score, left = one["score"], one["left"]
            at = "{mean:.2f} ({low:.2f} to {high:.2f})".format(**score) if score else "-"
            points = "-" if left is None else f"{left:.3f}"
            lines.append(
                f"{name:<13} {label:<7} {one['minutes']:>6.1f} min  {one['arm'] or 'none':<28}"
                f" {at:<22} {one['status']:<12} left {points:>6}  {_judged(one, whole)}"
            )
    return "\n".join(lines)


def _judged(one: dict[str, Any], whole: dict[str, Any] | None) -> str:
    """Return how far the named arm is behind the reference's by the reference's scores."""
    if whole is None or whole is one:
        return ""
    own, best = (whole["arms"].get(study["arm"], {"mean": 0.0})["mean"] for study in (one, whole))
    behind = best - own
    word = "within the margin" if behind <= MARGIN else "behind by more"
    return f"reference {whole['arm'] or 'none'}: {behind:.3f}, {word}"


def main() -> None:
    """Run what LABEL lacks, set after set, and print the table."""
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    ask.add_argument("data", type=Path, nargs="?")
    ask.add_argument("label", nargs="?")
    ask.add_argument("--source", type=Path, default=Path(__file__).parents[1] / "src")
    ask.add_argument("--minutes", type=float)
    ask.add_argument("--rows", type=int, default=400)
    ask.add_argument("--sets", default=",".join(NAMES))
    ask.add_argument("--keep", type=Path)
    ask.add_argument("--busy", action="store_true")
    ask.add_argument("--whole", action="store_true")
    given = ask.parse_args()
    path = RESULTS / "real_sets.json"
    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for name in given.sets.split(",") if given.label else ():
        if name in told.get(given.label, {}):
            continue
        with contextlib.ExitStack() as held:
            home = Path(held.enter_context(tempfile.TemporaryDirectory()))
            if given.keep is not None:
                home = given.keep.resolve() / given.label / name
                home.mkdir(parents=True, exist_ok=True)
            data, minutes = given.data.resolve(), given.minutes
            task = written(data, name, home, given.rows, minutes, given.whole)
            load = round(os.getloadavg()[0], 2)
            with program_beside(given.busy):
                found = studied(task, given.source.resolve())
        found |= {"rows": given.rows, "date": time.strftime("%Y-%m-%d"), "busy": given.busy,
                  "load_before": load,
                  **{key: machine()[key] for key in ("cpu", "precision", "features")}}  # fmt: skip
        told = json.loads(path.read_text("utf-8")) if path.exists() else {}
        told.setdefault(given.label, {})[name] = found
        path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        print(f"  {name}: {found['minutes']} min, {found['arm']}", file=sys.stderr, flush=True)
    print(table(told))


if __name__ == "__main__":
    main()
