"""Build a tuned model and serve it: do its forms and its served answers equal the evaluated ones?

usage: served.py DATA WORK [--rows 120] [--test 200] [--epochs 2] [--flight 16]

DATA is the folder of public sets; the task is snips_json with its first training and test rows, so
the build learns from the rows of the study and not from the scored ones. LoRA is trained,
evaluated and built in all forms, each of which is asked cases again (parity). Then `tuneworthy
serve` runs in another process, and every scored case is asked over HTTP, so many at a time. Counts
texts that equal the study's own, and bounds the score difference. A finished study and build in
WORK are not made again. Writes bench/results/served.json.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from _bench import RESULTS, write
from distil import TOKEN, served
from harm import task_of

from tuneworthy.flows import study
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.metrics import score_all, scorer
from tuneworthy.records.answer import Answer, value_or_zero
from tuneworthy.records.case import Case
from tuneworthy.records.run import RunOptions
from tuneworthy.stats.bounds import paired


def asked_over_http(address: str, name: str, cases: Sequence[Case], flight: int) -> list[str]:
    """Return the served text of each case, `flight` requests at a time."""

    def ask(case: Case) -> str:
        messages = [{"role": m.role, "content": m.content} for m in case.messages]
        request = urllib.request.Request(
            f"{address}/chat/completions",
            json.dumps({"model": name, "messages": messages}).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=600) as reply:
            return str(json.load(reply)["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(flight) as pool:
        return list(pool.map(ask, cases))


def evaluated(task: Any, options: RunOptions) -> tuple[str, dict[str, Answer]]:
    """Run or read the study of LoRA; return the arm's name and its answer to each case."""
    done = study.run(task, options).results
    runs = [r for r in done.runs if r.spec.arm == "lora" and r.state == "measured"]
    return runs[0].spec.name, {answer.case: answer for run in runs for answer in run.answers}


def main() -> None:
    """Build, serve, ask and compare; write the figures and print them."""
    given = argparse.ArgumentParser()
    given.add_argument("data", type=Path)
    given.add_argument("work", type=Path)
    for name, usual in (("rows", 120), ("test", 200), ("epochs", 2), ("flight", 16),
                        ("port", 8793)):  # fmt: skip
        given.add_argument(f"--{name}", type=int, default=usual)
    asked = given.parse_args()
    work = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    task, _, cases = task_of(asked.data, work, asked.rows, asked.test)
    path = work / "task.yaml"
    told = json.loads(path.read_text("utf-8"))
    told |= {"model": "smollm2-135m", "seeds": 1,
             "arms": ["majority", {"lora": {"epochs": asked.epochs}}],
             "budget": {"minutes": 600, "stages": False}}  # fmt: skip
    path.write_text(json.dumps(told), "utf-8")
    arm, stored = evaluated(path, RunOptions(brief=True))
    parity: Any = None
    kept = work / "parity.json"
    if not kept.exists():
        report = build(path, options=BuildOptions(arm=arm))
        kept.write_text(json.dumps([one.model_dump(mode="json") for one in report.parity]), "utf-8")
    parity = json.loads(kept.read_text("utf-8"))
    with served(work, asked.port, task.name) as (address, name):
        texts = asked_over_http(address, name, cases, asked.flight)
    mine = [stored[case.id] for case in cases]
    theirs = [Answer(case=case.id, text=text) for case, text in zip(cases, texts, strict=True)]
    scores = [
        np.array([value_or_zero(one) for one in score_all(scorer(task), cases, side)])
        for side in (mine, theirs)
    ]
    bound = paired(scores[1] - scores[0], 0.025)
    equal = sum(one.text == text for one, text in zip(mine, texts, strict=True))
    summary = {
        f"served texts equal to the evaluated ones, of {len(cases)}": equal,
        "evaluated score": round(float(scores[0].mean()), 4),
        "served minus evaluated, points": [round(100 * x, 2) for x in bound[:3]],
    }
    write("served", {"arm": arm, "parity": parity, "summary": summary})
    print(json.dumps(parity, indent=1), json.dumps(summary, indent=1), sep="\n")
    print(RESULTS / "served.json")


if __name__ == "__main__":
    main()
