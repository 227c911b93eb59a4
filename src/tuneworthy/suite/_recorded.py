"""Write the studies of `demo --recorded`: shipped tasks with shipped answers, no model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneworthy.core.plugins import load
from tuneworthy.suite._write import SEED, files

RECORDED = Path(__file__).parent / "recorded"
STUDIES: dict[str, dict[str, Any]] = {
    "clause_type": {
        "present": {"answers": "keywords.jsonl"},
        "arms": ["present", "majority", "tfidf"],
    },
    "support_tickets": {
        "answers": {"rules_first": "rules_first.jsonl", "rules_second": "rules_second.jsonl"},
        "arms": ["answers"],
    },
    "open_clauses": {
        "present": {"answers": "keywords.jsonl"},
        "answers": {"most_words": "most_words.jsonl"},
        "arms": ["present", "answers"],
        "success": {"metric": "accuracy", "margin": 0.05},
    },
}
"""By study: the keys that name its recorded systems (their answers: tools/record_demo.py)."""
LABELLED = {"open_clauses": 40}
"""Test rows that keep their label; the others are inputs to settle on (default: all keep it)."""
TASKS = {"open_clauses": "clause_type"}
"""The task of the suite behind a study of another name."""


def write_recorded(name: str, folder: Path) -> Path:
    """Write a study with the recorded answers of its systems; return task.yaml.

    Files of the same names in `folder` are replaced. Raises KeyError for a study without any.
    """
    keys, task_name = STUDIES[name], TASKS.get(name, name)
    made = load("suite", task_name).make(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files(task_name, made, SEED).items():
        if file != "README.md":
            (folder / file).write_bytes(text.encode("utf-8"))
    recorded = list(keys.get("answers", {}).values())
    recorded += [keys["present"]["answers"]] if "present" in keys else []
    for file in recorded:
        shutil.copyfile(RECORDED / file, folder / file)
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    if (labelled := LABELLED.get(name)) is not None:
        test = made.rows[made.split :]
        data["unlabelled"] = "unlabelled.jsonl"
        _write(folder / "test.jsonl", test[:labelled])
        _write(folder / "unlabelled.jsonl", [{"input": row["input"]} for row in test[labelled:]])
    task = {key: value for key, value in made.task.items() if key not in ("arms", "seeds")}
    task |= {"name": name.replace("_", "-")}
    path = folder / "task.yaml"
    path.write_text(json.dumps({**task, "data": data, **keys}, indent=1) + "\n", "utf-8")
    return path


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
