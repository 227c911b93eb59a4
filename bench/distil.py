"""A tuned teacher behind `tuneworthy serve` in another process, and what its students learn of it.

usage: distil.py WORK [--units refused,classifier,layers] [--model smollm2-135m] [--teacher tuned]
                 [--labelled 16] [--free 500] [--test 90] [--taught 700] [--epochs 2]

The task is clause_type (12 labels, generated): few labelled rows, many inputs without answers. The
teacher (`tuned`: LoRA of the model; `classifier`: TF-IDF) learnt `--taught` rows that no student
sees, and answers over HTTP as it was measured. Units: `refused` (the teacher is the untuned model,
so the gate must refuse it), `classifier` and `layers` (one of two layers kept). Each is a study
with motive cost in a folder of its own: to go on is to call again (the port stays the same, as it
is part of the teacher's name; 0: any free one); units of earlier calls are shown too. Prints
teacher, distilled, untouched and seed student with bounds, latency and price, and writes
bench/results/distil.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _bench import RESULTS, write

from tuneworthy.flows import study
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.records.record import canonical
from tuneworthy.records.run import RunOptions
from tuneworthy.suite.clause_type import LABELS, make

COMMAND = [sys.executable, "-c", "from tuneworthy.cli import main; main()", "serve"]
TOKEN = "bench-token"  # of a server on this machine that lives as long as this program
NAME = "clauses"
TEACHERS = {"tuned": "lora", "classifier": "tfidf"}
MACHINE_HOUR = 0.1  # USD, so that local answers have a price beside each other
STUDENTS: Mapping[str, Mapping[str, Any]] = {
    "refused": {"student": "classifier", "samples": 1},
    "classifier": {"student": "classifier", "samples": 1, "teacher_prompt": "input"},
    "layers": {"student": "layers", "samples": 1, "teacher_prompt": "input"},
}


def folder_of(asked: Any, name: str, parts: Mapping[str, Sequence[Any]], **task: Any) -> Path:
    """Write a study of clause_type on these rows into WORK/name; return its task file."""
    folder: Path = asked.work / name
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        told = [{k: v for k, v in row.items() if part != "free" or k != "output"} for row in rows]
        text = "".join(
            json.dumps({"id": f"{part}-{n}", **row}) + "\n" for n, row in enumerate(told)
        )
        (folder / f"{part}.jsonl").write_text(text, "utf-8")
    names = {"free": "unlabelled"}
    keys = {
        "name": NAME,
        "instruction": "Which type of contract clause is this?",
        "data": {names.get(part, part): f"{part}.jsonl" for part in parts},
        "output": {"type": "label", "labels": list(LABELS), "max_tokens": 8},
        "model": asked.model,
        "seeds": 1,
        "budget": {"minutes": 600, "stages": False},
        **task,
    }
    (folder / "task.yaml").write_text(json.dumps(keys), "utf-8")
    return folder / "task.yaml"


def taught_teacher(asked: Any, rows: Sequence[Any]) -> Path:
    """Return the folder of the built teacher; it is trained and built once."""
    arm = TEACHERS[asked.teacher]
    parts = {"train": rows[: asked.taught], "test": rows[asked.taught :][: asked.test]}
    option = {"lora": {"epochs": asked.epochs}} if arm == "lora" else arm
    task = folder_of(asked, f"teacher-{asked.teacher}", parts, arms=["majority", option])
    if not (task.parent / "build" / "latest").exists():
        done = study.run(task, RunOptions(brief=True))
        name = next(one.name for one in done.results.evidence.arms if one.name.startswith(arm))
        build(task, options=BuildOptions(arm=name, forms=() if arm == "tfidf" else ("peft",)))
    return task.parent


@contextmanager
def served(folder: Path, port: int, task: str = NAME) -> Iterator[tuple[str, str]]:
    """Serve the build of a folder in another process; yield its address and served name."""
    environment = {**os.environ, "BENCH_TOKEN": TOKEN}
    process = subprocess.Popen(
        [*COMMAND, str(folder / "build"), "--port", str(port), "--token-env", "BENCH_TOKEN"],
        stdout=subprocess.PIPE, text=True, cwd=folder, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith("  curl"):
                break
        address = re.search(r"serving at (\S+/v1)", text)
        name = re.search(rf"^  ({task}-\S+?-[0-9a-f]{{12}})$", text, re.M)
        if address is None or name is None:
            raise SystemExit(f"the server did not start:\n{text}")
        yield address[1], name[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def unit(asked: Any, name: str, rows: Sequence[Any]) -> dict[str, Any]:
    """Run one study, or read what it found; return its arms and its verdict."""
    kept = asked.work / f"{name}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text("utf-8")))
    own = rows[asked.taught + asked.test :]
    parts = {
        "train": own[: asked.labelled],
        "test": rows[asked.taught :][: asked.test],
        "free": own[asked.labelled :][: asked.free],
    }
    given = dict(STUDENTS[name])
    if name == "layers":
        given["epochs"] = asked.epochs
    more = {"success": {"motive": "cost"}, "economics": {"machine_hour": MACHINE_HOUR},
            "arms": ["zero_shot", {"distil": given}]}  # fmt: skip
    if name == "refused":
        found = judged(folder_of(asked, name, parts, teacher=asked.model, **more))
    else:
        with served(taught_teacher(asked, rows), asked.port) as (address, model):
            os.environ |= {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": TOKEN}
            teacher = f"openai:{model}@{address}"
            found = judged(folder_of(asked, name, parts, teacher=teacher, **more))
    kept.write_text(json.dumps(found), "utf-8")
    return found


def judged(task: Path) -> dict[str, Any]:
    """Return what a study says of each arm, and its verdict."""
    done = study.run(task, RunOptions(pay=True, brief=True))
    arms = [json.loads(canonical(arm)) for arm in done.results.evidence.arms]
    why = {run.spec.name: str(run.because) for run in done.results.runs if run.because}
    told = next(((run.trace or {}).get("distilled") for run in done.results.runs
                 if (run.trace or {}).get("distilled")), None)  # fmt: skip
    verdict = done.verdict
    return {"arms": arms, "because": why, "distilled": told, "use": verdict.use,
            "arm": verdict.arm, "status": verdict.status}  # fmt: skip


def column(name: str, arms: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield (title, arm) of the columns that a student stands beside, in their order."""
    for arm in arms:
        options = arm["options"]
        learns = options.get("learns", "teacher")
        if arm["name"].partition("(")[0] == "teacher":
            yield "teacher", arm
        elif arm["name"].startswith("distil") and learns == "teacher":
            yield "distilled student", arm
        elif arm["name"].startswith("distil"):
            yield ("seed student" if learns == "own" else "untouched student"), arm
        elif arm["name"] in ("tfidf", "lora") and name != "layers":
            yield "seed student", arm
        elif arm["name"] == "zero_shot":
            yield "untuned model", arm


def table(units: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of all units as Markdown."""
    head = "| unit | column | n | score (95 %) | ms, median | USD per 1,000 |\n" + "|---" * 6 + "|"
    lines = [head]
    for name, found in units.items():
        for title, arm in column(name, found["arms"]):
            score, latency, usd = arm["score"], arm["latency_ms"], arm["usd_per_1k"]
            shown = "not measured"
            if score:
                shown = f"{score['mean']:.2f} ({score['low']:.2f} to {score['high']:.2f})"
            speed = f"{latency['p50']:.1f}" if latency else "—"
            price = "—" if usd is None else f"{usd:.5f}"
            lines.append(f"| {name} | {title} | {arm['n']} | {shown} | {speed} | {price} |")
    return "\n".join(lines)


def main() -> None:
    """Run the units that are not done yet; write the figures and print the table."""
    given = argparse.ArgumentParser()
    given.add_argument("work", type=Path)
    given.add_argument("--units", default=",".join(STUDENTS))
    given.add_argument("--model", default="smollm2-135m")
    given.add_argument("--teacher", choices=sorted(TEACHERS), default="tuned")
    for name, usual in (("labelled", 16), ("free", 500), ("test", 90), ("taught", 700),
                        ("epochs", 2), ("port", 8791)):  # fmt: skip
        given.add_argument(f"--{name}", type=int, default=usual)
    asked = given.parse_args()
    asked.work = asked.work.resolve()
    asked.work.mkdir(parents=True, exist_ok=True)
    rows = make(0, asked.labelled + asked.free + asked.test + asked.taught).rows
    done = [name for name in STUDENTS if (asked.work / f"{name}.json").exists()]
    names = dict.fromkeys([*done, *asked.units.split(",")])
    units = {name: unit(asked, name, rows) for name in names}
    summary = {f"{name}: named": found["arm"] or found["use"] for name, found in units.items()}
    told = {key: value for key, value in vars(asked).items() if key != "work"}
    write("distil", {"asked": told, "units": units, "summary": summary})
    print(table(units))
    for name, found in units.items():
        print(f"{name}: {found['use']} {found['arm']} ({found['status']})", found["because"])
    print(RESULTS / "distil.json")


if __name__ == "__main__":
    main()
