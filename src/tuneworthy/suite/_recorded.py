"""Write the studies of `demo --recorded`: generated tasks with shipped answers, no model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneworthy.core.plugins import load
from tuneworthy.suite._write import SEED, task_files

RECORDED_FOLDER = Path(__file__).parent / "recorded"
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
"""By study: its keys of task.yaml on recorded systems; tools/record_demo.py wrote the answers."""
LABELLED_TEST_ROWS = {"open_clauses": 40}
"""By study: the number of test rows that keep their label (default: all); the others lose it."""
TASK_OF_STUDY = {"open_clauses": "clause_type"}
"""By study: the name of its task in the suite, if it differs from the study's."""


def write_recorded(name: str, folder: Path) -> Path:
    """Write a study with the recorded answers of its systems; return task.yaml.

    Files of the same names in `folder` are replaced. Raises KeyError for an unknown study.
    """
    keys, task_name = STUDIES[name], TASK_OF_STUDY.get(name, name)
    made = load("suite", task_name).make(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in task_files(task_name, made, SEED).items():
        if file != "README.md":
            (folder / file).write_bytes(text.encode("utf-8"))
    recorded = list(keys.get("answers", {}).values())
    recorded += [keys["present"]["answers"]] if "present" in keys else []
    for file in recorded:
        shutil.copyfile(RECORDED_FOLDER / file, folder / file)
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    if (labelled := LABELLED_TEST_ROWS.get(name)) is not None:
        test = made.rows[made.split :]
        data["unlabelled"] = "unlabelled.jsonl"
        _write_rows(folder / "test.jsonl", test[:labelled])
        _write_rows(
            folder / "unlabelled.jsonl", [{"input": row["input"]} for row in test[labelled:]]
        )
    task = {key: value for key, value in made.task.items() if key not in ("arms", "seeds")}
    task |= {"name": name.replace("_", "-")}
    path = folder / "task.yaml"
    path.write_text(json.dumps({**task, "data": data, **keys}, indent=1) + "\n", "utf-8")
    return path


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
