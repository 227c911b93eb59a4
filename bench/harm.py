"""Task score beside harm of adapters, replayed rows and full tuning, at few rows of snips_json.

usage: harm.py DATA WORK [--rows 60] [--test 80] [--texts 96] [--epochs 1,2,4] [--seed 0]

DATA is the folder of public sets. Each way is trained for each number of epochs, so that ways can
be compared at equal score: more training raises both. Score: the task's metric on held-out rows.
Harm: the relative rise of cross-entropy on texts of the harm check (96 in all), and the KL
divergence from the base on them (off the task) and on the tuned model's own answers (on it).
Finished points lie in WORK; to go on is to call again. Writes bench/results/harm.json and the chart
docs/pictures/harm.svg, and prints the table.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from _bench import RESULTS, write
from _chart import panels

from tuneworthy.arms import full, lora
from tuneworthy.flows.session import read
from tuneworthy.measure.further.tuned_model import (
    GENERAL_TOKENS,
    chat_prompts,
    divergence,
    openings,
    relative_rise,
)
from tuneworthy.metrics import score_all, scorer
from tuneworthy.models import open_model
from tuneworthy.models.train import changes
from tuneworthy.records.arm import Setup
from tuneworthy.records.case import Case
from tuneworthy.records.run import RunOptions
from tuneworthy.stats.bounds import mean_interval

WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lora": (lora, {}),
    "lora + 5 % replay": (lora, {"replay": 0.05}),
    "full": (full, {}),
    "full + 5 % replay": (full, {"replay": 0.05}),
}


def task_of(data: Path, work: Path, rows: int, test: int) -> tuple[Any, list[Case], list[Case]]:
    """Return the task with its first training rows and its first rows of the test file."""
    about = json.loads((data / "snips_json" / "task.json").read_text("utf-8"))
    for name, count in (("train", rows), ("test", test)):
        lines = (data / "snips_json" / f"{name}.jsonl").read_text("utf-8").splitlines()[:count]
        kept = [{k: v for k, v in json.loads(line).items() if k != "meta"} for line in lines]
        (work / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in kept), "utf-8")
    told = {"name": "snips_json", "instruction": about["instruction"],
            "data": {"train": "train.jsonl", "test": "test.jsonl"},
            "output": {"type": "json"}, "success": {"metric": "fields_f1"}}  # fmt: skip
    (work / "task.yaml").write_text(json.dumps(told), "utf-8")
    loaded, _ = read(work / "task.yaml", RunOptions(), lambda event, data: None)
    return loaded.task, list(loaded.cases), list(loaded.test or ())


def stored(file: Path, make: Any) -> Any:
    """Return the content of a JSON file, made once."""
    if not file.exists():
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(make()), "utf-8")
        draft.replace(file)
    return json.loads(file.read_text("utf-8"))


def point(base: Any, task: Any, rows: tuple[list[Case], list[Case]], work: Path, how: Any) -> Any:
    """Train one way and return its figures. `how` is (way, epochs, seed, general rows)."""
    way, epochs, seed, general = how
    arm, options = WAYS[way]
    folder = work / f"{way} {epochs} {seed}".replace(" ", "_").replace("%", "pct")
    folder.mkdir(exist_ok=True)
    setup = Setup(task=task, train=rows[0], dev=[], models={"tune": base}, score=scorer(task),
                  folder=folder, common=work)  # fmt: skip
    begun = time.perf_counter()
    fitted = arm.fit(setup, arm.Options(epochs=epochs, **options), seed)
    trained = time.perf_counter() - begun
    answers = fitted.answer([case.query() for case in rows[1]])
    scores = [getattr(s, "value", 0.0) for s in score_all(scorer(task), rows[1], answers)]
    tuned, trace = fitted.model, fitted.trace or {}
    texts = changes.compare_models(base, tuned, general)
    own = [changes.answered_row(base, a.prompt, a.text, a.finish == "stop") for a in answers[:60]]
    return {
        "way": way, "epochs": epochs, "seed": seed, "n": len(scores),
        "score": [round(float(x), 4) for x in mean_interval(np.array(scores))],
        "general": relative_rise([r for r in texts if r[0]]).plain(),
        "kl_off": divergence([r for r in texts if r[0]]).plain(),
        "kl_on": divergence([r for r in changes.compare_models(base, tuned, own) if r[0]]).plain(),
        "change": changes.weight_changes(base, tuned)["all"],
        "rate": trace["rate"]["value"], "train_seconds": round(trained, 1),
        "tokens_per_second": round(trace["tokens_per_second"], 1),
        "replayed": trace.get("replay", {}).get("used", 0), "memory": trace["memory"],
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }  # fmt: skip


def table(points: list[Any]) -> str:
    """Return the table of all points as Markdown."""
    head = (
        "| way | epochs | score | general text | KL off | KL on | training |\n" + "|---" * 7 + "|"
    )
    lines = [head]
    for p in points:
        general = p["general"]
        mean, low, high = (100 * general[key] for key in ("mean", "low", "high"))
        lines.append(
            f"| {p['way']} | {p['epochs']} | {p['score'][0]:.3f} ({p['score'][1]:.3f} to "
            f"{p['score'][2]:.3f}) | {mean:+.1f} % ({low:+.1f} to {high:+.1f}) "
            f"| {p['kl_off']['mean']:.3f} | {p['kl_on']['mean']:.3f} | {p['train_seconds']:.0f} s |"
        )
    return "\n".join(lines)


def chart(points: list[Any]) -> str:
    """Return the chart of harm by score as SVG: one mark a way and number of epochs."""
    rises: dict[str, list[Any]] = {}
    kept: dict[str, list[Any]] = {}
    for p in points:
        label = f"{p['epochs']}"
        rise = [p["general"][key] for key in ("mean", "low", "high")]
        away = [p["kl_off"][key] for key in ("mean", "low", "high")]
        rises.setdefault(p["way"], []).append((p["score"], [100 * x for x in rise], label))
        kept.setdefault(p["way"], []).append((p["score"], away, label))
    return panels(
        "Task score and harm by way of training; the number is that of epochs",
        "score on snips_json, 95 % interval",
        {"rise of cross-entropy on general text, %": rises,
         "KL divergence from the base on general text, nats": kept},
    )  # fmt: skip


def main() -> None:
    """Measure what is not measured yet; write the figures and print the table."""
    given = argparse.ArgumentParser()
    given.add_argument("data", type=Path)
    given.add_argument("work", type=Path)
    given.add_argument("--rows", type=int, default=60)
    given.add_argument("--test", type=int, default=80)
    given.add_argument("--texts", type=int, default=96)
    given.add_argument("--epochs", default="1,2,4")
    given.add_argument("--ways", default=",".join(WAYS))
    given.add_argument("--seed", type=int, default=0)
    asked = given.parse_args()
    work = asked.work / f"{asked.rows}-{asked.test}-{asked.texts}"
    work.mkdir(parents=True, exist_ok=True)
    task, train, test = task_of(asked.data, work, asked.rows, asked.test)
    base = open_model("smollm2-135m", folder=work)
    general = stored(work / "general.json", lambda: changes.sample_passages(
        base, [*chat_prompts(), *openings()], GENERAL_TOKENS, 0))  # fmt: skip
    general = general[:: max(1, len(general) // asked.texts)]
    points = []
    for epochs in map(int, asked.epochs.split(",")):
        for way in asked.ways.split(","):
            name = f"{way} {epochs} {asked.seed}.json".replace("%", "pct")
            how = (way, epochs, asked.seed, general)
            points.append(
                stored(work / name, lambda how=how: point(base, task, (train, test), work, how))
            )
            print(json.dumps(points[-1]), flush=True)
    points.sort(key=lambda p: (list(WAYS).index(p["way"]), p["epochs"]))
    summary = {f"{p['way']}, {p['epochs']} epochs: score": p["score"][0] for p in points}
    write("harm", {"rows": len(train), "test": len(test), "texts": len(general),
                   "points": points, "summary": summary})  # fmt: skip
    picture = Path(__file__).parents[1] / "docs" / "pictures" / "harm.svg"
    picture.write_text(chart(points), "utf-8")
    print(table(points), f"\n{RESULTS / 'harm.json'}", sep="\n")


if __name__ == "__main__":
    main()
