"""Word counts beside the recorded answers of hosted models: 500 public consumer complaints.

usage: recorded_systems.py DATA

DATA holds `complaint_systems`: rows with their label, and the recorded label and seconds of 14
hosted models, asked without examples. The classifiers learn its training file; all are scored on
its test file. Told are the verdict and each arm's score; its interval holds for all arms together.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from _bench import write

from tuneworthy.flows.study import run

SET = "complaint_systems"
ARMS = ("majority", "tfidf", "embedding_head", "answers")


def written(data: Path, folder: Path) -> Path:
    """Write rows, recorded answers and the task of the study; return its file."""
    about = json.loads((data / SET / "task.json").read_text("utf-8"))
    systems = {name: name.replace(".", "_").replace("-", "_") for name in about["systems"]}
    for part in ("train", "test"):
        lines = (data / SET / f"{part}.jsonl").read_text("utf-8").splitlines()
        rows = [{"id": f"{part}-{at}", **json.loads(line)} for at, line in enumerate(lines)]
        told = [{key: row[key] for key in ("id", "input", "output")} for row in rows]
        _write_lines(folder / f"{part}.jsonl", told)
    for name, arm in systems.items():
        given = [{"id": row["id"], **row["meta"]["systems"][name]} for row in rows]
        _write_lines(folder / f"{arm}.jsonl", given)
    task = {
        "name": "complaints", "instruction": about["instruction"], "output": {"type": "label"},
        "success": {"metric": "accuracy"}, "arms": list(ARMS),
        "data": {"train": "train.jsonl", "test": "test.jsonl"},
        "answers": {arm: {"file": f"{arm}.jsonl"} for arm in systems.values()},
    }  # fmt: skip
    path = folder / "task.yaml"
    path.write_text(json.dumps(task), "utf-8")  # JSON is YAML
    return path


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def main() -> None:
    """Run the study and write its figures."""
    with tempfile.TemporaryDirectory() as home:
        verdict = run(written(Path(sys.argv[1]).resolve(), Path(home))).verdict
    arms = {
        arm.name: {
            "score": arm.score.plain(),
            "p50_ms": round(arm.latency_ms.p50, 1) if arm.latency_ms else None,
        }
        for arm in verdict.arms
        if arm.score is not None
    }
    left = verdict.left_on_table
    scores = {name: one["score"]["mean"] for name, one in arms.items()}
    best = max((name for name in scores if name not in ARMS), key=scores.__getitem__)
    summary = {
        "named": f"{verdict.arm} {scores[verdict.arm or best]:.2f}, {verdict.status}",
        "the best of the recorded systems": f"{best} {scores[best]:.2f}",
    }
    told = {"arms": arms, "arm": verdict.arm, "status": verdict.status, "best_recorded": best,
            "left_on_table": left and left.points, "summary": summary}  # fmt: skip
    write("recorded_systems", told)
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
