"""LoRA in bf16 and in fp32 on the same rows: does the dev metric suffer, seed by seed?

usage: precision.py [seeds] [train.jsonl test.jsonl]   400 rows to learn from, 100 to score, answers
JSON objects with `intent`; without files the suite's support_tickets. Not part of a plain
`./run bench`: it takes half an hour where bf16 is not fast.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _bench import write

from tuneworthy.arms import lora
from tuneworthy.metrics import fields_f1
from tuneworthy.models.hf import load
from tuneworthy.models.local.wheel import locate
from tuneworthy.records.arm import Setup
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.suite import support_tickets

LEARN, SCORED = 400, 100


def cases() -> tuple[list[Case], list[Case], str]:
    """Return rows to learn from, rows to score, and the instruction."""
    if len(sys.argv) > 3:
        files = [Path(name).read_text("utf-8").splitlines() for name in sys.argv[2:4]]
        given = [[json.loads(line) for line in lines] for lines in files]
        said = "Turn the request into a JSON object with the intent and its slots."
    else:
        rows = support_tickets.make(0).rows
        given, said = [rows[:-SCORED], rows[-SCORED:]], support_tickets.TASK["instruction"]
    learn, scored = (
        [
            Case(
                id=f"{part}{k}",
                messages=(Message(role="user", content=row["input"]),),
                output=row["output"]
                if isinstance(row["output"], str)
                else json.dumps(row["output"]),
            )
            for k, row in enumerate(rows)
        ]
        for part, rows in zip("ls", given, strict=True)
    )
    return learn[:LEARN], scored[:SCORED], said


def train(precision: str, seed: int) -> dict[str, Any]:
    """Train once; return the dev score of every epoch and the seconds of training alone."""
    learn, scored, said = cases()
    folder = locate()
    assert folder is not None
    task = Task(
        instruction=said, data=Data(file="rows.jsonl"), output=Output(type="json", max_tokens=80)
    )
    with tempfile.TemporaryDirectory() as work:
        setup = Setup(
            task=task,
            train=learn,
            dev=scored,
            models={"tune": load(folder, "smollm2-135m", precision)},
            score=lambda case, answer: fields_f1.score(case, answer, {}),
            folder=Path(work),
        )
        trace = lora.fit(setup, lora.Options(), seed).trace
    assert trace is not None
    scores = [round(seen["dev_score"], 4) for seen in trace["evaluations"]]
    print(f"  {precision}, seed {seed}: {scores}, {trace['seconds']:.0f} s", file=sys.stderr)
    return {"seed": seed, "dev": scores, "seconds": round(trace["seconds"], 1)}


def main() -> None:
    """Run the benchmark, print both means and write bench/results/precision.json."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    begun = time.time()
    found: dict[str, list[Any]] = {"bfloat16": [], "float32": []}
    for seed in range(seeds):
        for name, runs in found.items():
            runs.append(train(name, seed))
    last = {name: [max(run["dev"]) for run in runs] for name, runs in found.items()}
    means = {name: round(statistics.mean(scores), 4) for name, scores in last.items()}
    spread = round(max(last["float32"]) - min(last["float32"]), 4)
    told = {"rows": LEARN, "scored": SCORED, "runs": found, "mean_best": means,
            "seed_spread_fp32": spread,
            "minutes": round((time.time() - begun) / 60, 1)}  # fmt: skip
    write("precision", {**told, "summary": summary(told)})
    print(f"precision: best dev score {means}, fp32 seeds spread over {spread}")


def summary(told: dict[str, Any]) -> dict[str, float]:
    """Return the mean best dev score by precision, and what seeds differ by."""
    means = {f"{name}, mean best dev score": mean for name, mean in told["mean_best"].items()}
    return {**means, "float32, between seeds": told["seed_spread_fp32"]}


if __name__ == "__main__":
    main()
