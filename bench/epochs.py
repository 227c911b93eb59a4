"""Which epoch of a training to keep: by dev answers, by dev loss, or by answers where loss is near.

usage: epochs.py [DATA] [--seeds N]   DATA holds one folder a public set; without it the suite alone

Each training learns from 128 rows for three epochs, as `lora` does by default; 40 dev rows and 80
other rows are answered after every epoch. A rule sees the dev rows alone; its cost is the score on
the other rows beside today's rule (the best dev answers). What is stored is not trained again.
Writes bench/results/epochs.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import real_sets
from _bench import RESULTS, machine, write

from tuneworthy.arms import _trained
from tuneworthy.arms._prompted import mean_score
from tuneworthy.flows.study import RunOptions, read, run
from tuneworthy.suite import write as write_task

LEARN, TEST = 168, 80  # a quarter of the first is kept for dev
SUITE = ("clause_type", "house_voice", "support_tickets")
REAL = ("snips_json", "e2e_style", "xquad_docs", "banking77")
NEAR = 0.05  # epochs whose dev loss is this share above the lowest are scored by answers
_POINTS = "points beside today's rule"
Epoch = dict[str, float]


def main() -> None:
    """Train what is not stored; print and write what each rule keeps, costs and saves."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("data", type=Path, nargs="?")
    ask.add_argument("--seeds", type=int, default=2)
    given = ask.parse_args()
    path = RESULTS / "epochs.json"
    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    trainings: dict[str, Any] = told.get("trainings", {})
    for seed in range(given.seeds):
        for name in (*SUITE, *(REAL if given.data else ())):
            key = f"{name}, seed {seed}"
            if key not in trainings:
                trainings[key] = trained(name, seed, given.data)
                print(f"  {key}: {trainings[key]}", file=sys.stderr, flush=True)
                about = {"rows": LEARN, "test": TEST, "machine": machine()}
                found = rules(trainings)
                told = {**about, "trainings": trainings, "rules": found}
                write("epochs", {**told, "summary": summary(found)})
    for rule, found in rules(trainings).items():
        print(f"{rule}: {found}")


def trained(name: str, seed: int, data: Path | None) -> dict[str, Any]:
    """Train once; return loss, dev score and score on other rows after each epoch, and seconds."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        path = _task(name, seed, folder, data)
        loaded, _ = read(path, RunOptions())
        other, scores, seconds = list(loaded.test or ()), list[float](), list[float]()
        by_dev = _trained._dev_score

        def both(setup: Any, answers: Any, model: Any) -> float:
            begun = time.perf_counter()
            dev = by_dev(setup, answers, model)
            seconds.append(time.perf_counter() - begun)
            said = answers([case.query() for case in other], model, 1)
            scores.append(mean_score(setup, other, said))
            return dev

        _trained._dev_score = both
        try:
            run(path, RunOptions(brief=True))
        finally:
            _trained._dev_score = by_dev
        found = (folder / ".tuneworthy").rglob("adapter/trace.json")
        traces = [json.loads(path.read_text("utf-8")) for path in found]
        # A placebo's training has no dev rows.
        trace = next(one for one in traces if one["evaluations"][0]["dev_score"] is not None)
    epochs = [
        {"loss": round(seen["dev_loss"], 4), "dev": round(seen["dev_score"], 4),
         "test": round(test, 4), "seconds": round(took, 1)}
        for seen, test, took in zip(trace["evaluations"], scores, seconds, strict=True)
    ]  # fmt: skip
    return {"epochs": epochs, "training_seconds": round(trace["seconds"], 1)}


def _task(name: str, seed: int, folder: Path, data: Path | None) -> Path:
    """Write a task that trains alone, on rows to learn from and other rows to score."""
    if name in SUITE:
        path = write_task(name, folder, n=LEARN + TEST, seed=seed)
        rows = [*_lines(folder / "train.jsonl"), *_lines(folder / "test.jsonl")]
        task: dict[str, Any] = {"instruction": read(path, RunOptions())[0].task.instruction}
        docs = folder / "docs.jsonl"
    else:
        assert data is not None
        path = real_sets.written(data, name, folder, LEARN + TEST, None)
        rows, task = _lines(folder / "rows.jsonl"), json.loads(path.read_text("utf-8"))
        docs = folder / "docs.jsonl"
    (folder / "learn.jsonl").write_text("".join(rows[:LEARN]), "utf-8")
    (folder / "score.jsonl").write_text("".join(rows[LEARN : LEARN + TEST]), "utf-8")
    task["data"] = {"train": "learn.jsonl", "test": "score.jsonl"}
    if docs.exists():
        task["data"]["docs"] = docs.name
    task |= {"name": "epochs", "arms": ["zero_shot", "lora"], "seeds": 1, "seed": seed}
    task["budget"] = {"minutes": 1_000, "stages": False}
    path.write_text(json.dumps(task), "utf-8")  # JSON is YAML
    return path


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines(keepends=True)


# A rule returns (the number, from 0, of the epoch that it keeps; on how many it asks dev rows).


def by_answers(epochs: Sequence[Epoch]) -> tuple[int, int]:
    """Keep the epoch with the best dev answers; every epoch is answered."""
    best = min(range(len(epochs)), key=lambda e: (-epochs[e]["dev"], epochs[e]["loss"], e))
    return best, len(epochs)


def by_loss(epochs: Sequence[Epoch]) -> tuple[int, int]:
    """Keep the epoch with the lowest dev loss."""
    return min(range(len(epochs)), key=lambda e: epochs[e]["loss"]), 0


def by_answers_if_near(epochs: Sequence[Epoch]) -> tuple[int, int]:
    """Keep the best dev answers among the epochs whose loss is near the lowest."""
    least = min(epoch["loss"] for epoch in epochs)
    near = [e for e, epoch in enumerate(epochs) if epoch["loss"] <= (1 + NEAR) * least]
    if len(near) == 1:
        return near[0], 0
    return min(near, key=lambda e: (-epochs[e]["dev"], epochs[e]["loss"], e)), len(near)


def last(epochs: Sequence[Epoch]) -> tuple[int, int]:
    """Keep the last epoch."""
    return len(epochs) - 1, 0


def stopped(epochs: Sequence[Epoch]) -> tuple[int, int]:
    """Keep the epoch before the first one whose dev loss rose."""
    rose = [e for e in range(1, len(epochs)) if epochs[e]["loss"] > epochs[e - 1]["loss"]]
    return (rose[0] - 1 if rose else len(epochs) - 1), 0


RULES: dict[str, Callable[[Sequence[Epoch]], tuple[int, int]]] = {
    "best dev answers (all epochs answered)": by_answers,
    "lowest dev loss": by_loss,
    f"best dev answers of epochs within {100 * NEAR:g} % of the lowest loss": by_answers_if_near,
    "the last epoch": last,
    "stop where the dev loss rises": stopped,
}


def rules(trainings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return for each rule its score beside today's rule, and the dev seconds that it takes."""
    found = {}
    for name, rule in RULES.items():
        costs, other, share = [], 0, []
        for one in trainings.values():
            epochs = one["epochs"]
            at, answered = rule(epochs)
            today, _ = by_answers(epochs)
            costs.append(epochs[at]["test"] - epochs[today]["test"])
            other += at != today
            dev = sum(epoch["seconds"] for epoch in epochs) * answered / len(epochs)
            whole = sum(epoch["seconds"] for epoch in epochs) + one["training_seconds"]
            share.append(dev / whole)
        n = len(costs)
        sd = statistics.stdev(costs) if n > 1 else 0.0
        found[name] = {
            "n": n, "another epoch kept": other,
            _POINTS: round(100 * statistics.mean(costs), 2),
            "standard error, points": round(100 * sd / n**0.5, 2),
            "worst, points": round(100 * min(costs), 1),
            "share of training's seconds for dev answers": round(statistics.mean(share), 3),
        }  # fmt: skip
    early = [any(b["loss"] > a["loss"] for a, b in zip(one["epochs"], one["epochs"][1:-1],
                                                        strict=False))
             for one in trainings.values()]  # fmt: skip
    found["stop where the dev loss rises"]["would have saved an epoch"] = sum(early)
    return found


def summary(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return a line a rule."""
    return {
        rule: f"{one[_POINTS]:+.2f} points"
        f" (standard error {one['standard error, points']}, n {one['n']})"
        for rule, one in found.items()
    }


if __name__ == "__main__":
    main()
