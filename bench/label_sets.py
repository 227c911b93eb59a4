"""Real label sets at several sizes: what the verdict names, and what that costs on rows not seen.

usage: label_sets.py DATA [--sets a,b] [--sizes 50,200,1000] [--arms a,b] [--limits 0.05,0.1]

DATA holds one folder a public set. Of each the first N rows are a study's; the 500 after them are
nobody's until its arms are built and answer them. Told are, per set and size, each arm's score in
the study and its accuracy on those rows, the arm that the verdict names, and how many points it
lies below the best of them there. For each limit of wrong answers a study of 400 rows names an arm
and a threshold, which is held against the share of wrong answers among the 500 rows. What is in
bench/results/label_sets.json is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from _bench import RESULTS, machine
from bench.atlas.public_sets import SETS as PUBLIC

from tuneworthy.flows.study import run
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.handover.system import open_artefact
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import TuneworthyError

os.environ["TUNEWORTHY_LOOKS"] = "folder"
UNSEEN, FILE = 500, RESULTS / "label_sets.json"


def _diseases(row: dict[str, Any]) -> str:
    found = len(row["output"]["diseases"])
    return ("none", "one")[found] if found < 2 else "several"


def _choice(row: dict[str, Any]) -> tuple[str, str]:
    read = PUBLIC["piqa_general"].row(row)
    return read["input"], read["output"]


SETS: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "banking77": lambda row: (row["input"], row["output"]),
    "complaint_systems": lambda row: (row["input"], row["output"]),
    "cuad_clauses": lambda row: (row["input"], row["output"]),
    "snips_json": lambda row: (row["input"], row["output"]["intent"]),
    "ncbi_disease_json": lambda row: (row["input"], _diseases(row)),
    "piqa_general": _choice,
}


def rows_of(data: Path, name: str) -> list[tuple[str, str]]:
    """Return (input, label) of every row of a set, those of its training file first."""
    lines = [line for file in ("train.jsonl", "test.jsonl")
             for line in (data / name / file).read_text("utf-8").splitlines()]  # fmt: skip
    return [SETS[name](json.loads(line)) for line in lines]


def written(folder: Path, rows: list[tuple[str, str]], arms: list[Any], success: Any) -> Path:
    """Write the task of a study of these rows; return its file."""
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for text, label in rows:
            file.write(json.dumps({"input": text, "output": label}) + "\n")
    task = {"name": "labels", "instruction": "Which label?", "data": {"file": "rows.jsonl"},
            "output": {"type": "label"}, "arms": arms, "success": success,
            "budget": {"minutes": 100_000, "stages": False}}  # fmt: skip
    path = folder / "task.yaml"
    path.write_text(json.dumps(task), "utf-8")
    return path


def answers_of(task: Path, arm: str, unseen: list[tuple[str, str]]) -> list[tuple[bool, float]]:
    """Build an arm; return (whether it is right, its probability) of each unseen row."""
    report = build(task, options=BuildOptions(arm=arm))
    system = open_artefact(Path(report.folder), task.parent)
    queries = [Query(id=str(at), messages=(Message(role="user", content=text),))
               for at, (text, _) in enumerate(unseen)]  # fmt: skip
    told = system.answer(queries)
    return [(one.text == label, one.probability or 0.0)
            for one, (_, label) in zip(told, unseen, strict=True)]  # fmt: skip


def studied(rows: list[tuple[str, str]], n: int, arms: list[Any]) -> dict[str, Any]:
    """Return what a study of the first n rows names, and what its arms score on rows not seen."""
    with tempfile.TemporaryDirectory() as home:
        task = written(Path(home), rows[:n], arms, {"metric": "accuracy"})
        verdict = run(task).verdict
        unseen, scores, accuracy = rows[n : n + UNSEEN], {}, {}
        for arm in verdict.arms:
            if arm.score is None:
                continue
            scores[arm.name] = [arm.score.mean, arm.score.low, arm.score.high]
            if arm.role != "candidate":
                continue
            right = [one for one, _ in answers_of(task, arm.name, unseen)]
            accuracy[arm.name] = round(sum(right) / len(right), 4)
    common = max(sorted({label for _, label in rows[:n]}), key=[x for _, x in rows[:n]].count)
    plain = round(sum(label == common for _, label in unseen) / len(unseen), 4)
    best = max([*accuracy.values(), plain])
    named = accuracy.get(verdict.arm or "", plain)  # no arm named: the most common label stays
    return {"named": verdict.arm, "status": verdict.status, "scores": scores,
            "unseen": len(unseen), "accuracy": {"majority": plain, **accuracy},
            "lost": round(best - named, 4)}  # fmt: skip


def limited(rows: list[tuple[str, str]], limit: float, arms: list[Any]) -> dict[str, Any]:
    """Return the arm and coverage that 400 rows show under a limit, and what holds on 500 more."""
    with tempfile.TemporaryDirectory() as home:
        task = written(Path(home), rows[:400], arms, {"wrong_at_most": limit})
        verdict = run(task).verdict
        arm = next((one for one in verdict.arms if one.name == verdict.arm), None)
        if arm is None or arm.sure is None:
            return {"named": None, "status": verdict.status, "coverage": 0.0}
        told = answers_of(task, arm.name, rows[400 : 400 + UNSEEN])
    given = [right for right, p in told if p >= arm.sure.threshold]
    wrong = len(given) - sum(given)
    return {"named": arm.name, "status": verdict.status, "threshold": arm.sure.threshold,
            "coverage": arm.sure.coverage.mean, "shown_wrong": arm.sure.wrong.plain(),
            "unseen": len(told), "answered": len(given), "wrong": wrong,
            "above": wrong > limit * len(given)}  # fmt: skip


def main() -> None:
    """Run what is missing and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("data", type=Path)
    ask.add_argument("--sets", default=",".join(SETS))
    ask.add_argument("--sizes", default="50,200,1000")
    ask.add_argument("--arms", default="tfidf,embedding_head")
    ask.add_argument("--limits", default="0.05,0.1")
    given = ask.parse_args()
    told = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {"studies": {}, "limits": {}}
    arms = ["majority", *given.arms.split(",")]
    for name in given.sets.split(","):
        rows = rows_of(given.data.resolve(), name)
        for n in [int(size) for size in given.sizes.split(",") if size]:
            key = f"{name} {n} {given.arms}"
            if key not in told["studies"] and len(rows) >= n + UNSEEN // 2:
                keep(told, "studies", key, partial(studied, rows, n, arms))
        for limit in [float(one) for one in given.limits.split(",") if one]:
            key = f"{name} {limit:g} {given.arms}"
            if key not in told["limits"] and len(rows) >= 400 + UNSEEN // 2:
                keep(told, "limits", key, partial(limited, rows, limit, arms))
    print(json.dumps(told["summary"], indent=1))


def keep(told: dict[str, Any], kind: str, key: str, work: Callable[[], dict[str, Any]]) -> None:
    """Do one piece of work and write it down with the summary of all so far."""
    try:
        told[kind][key] = work()
    except TuneworthyError as error:
        told[kind][key] = {"refused": f"{error.what}: {error.got}"}
    lost = [one["lost"] for one in told["studies"].values() if "lost" in one]
    shown = [one for one in told["limits"].values() if one.get("named")]
    told["summary"] = {
        "studies": len(lost), "points_lost": round(100 * sum(lost) / max(len(lost), 1), 2),
        "most_lost": round(100 * max(lost, default=0.0), 1),
        "limits": len(told["limits"]), "named": len(shown),
        "above_the_limit": sum(one["above"] for one in shown),
    }  # fmt: skip
    told["machine"] = machine()
    FILE.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(f"  {key}: {told[kind][key]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
