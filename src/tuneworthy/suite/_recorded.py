"""Write the studies of `demo --recorded`: generated tasks with shipped answers, no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneworthy.records.plugins import load
from tuneworthy.suite._write import SEED, task_files, write_files

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
_LABELLED_TEST_ROWS = {"open_clauses": 40}
"""By study: the number of test rows that keep their label (default: all); the others lose it."""
_TASK_OF_STUDY = {"open_clauses": "clause_type"}
"""By study: the name of its task in the suite, if it differs from the study's."""


def write_recorded(name: str, folder: Path) -> Path:
    """Write a study with the recorded answers of its systems; return task.yaml.

    Files of an earlier call are replaced. Raises TaskError for other files in the folder, and
    KeyError for an unknown study.
    """
    keys, task_name = STUDIES[name], _TASK_OF_STUDY.get(name, name)
    made = load("suite", task_name).make(SEED)
    texts = task_files(task_name, made, SEED)
    del texts["README.md"]
    recorded = list(keys.get("answers", {}).values())
    recorded += [keys["present"]["answers"]] if "present" in keys else []
    for file in recorded:
        texts[file] = (RECORDED_FOLDER / file).read_text("utf-8")
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    if (labelled := _LABELLED_TEST_ROWS.get(name)) is not None:
        test = made.rows[made.split :]
        data["unlabelled"] = "unlabelled.jsonl"
        texts["test.jsonl"] = _json_lines(test[:labelled])
        texts["unlabelled.jsonl"] = _json_lines(
            [{"input": row["input"]} for row in test[labelled:]]
        )
    task = {key: value for key, value in made.task.items() if key not in ("arms", "seeds")}
    task |= {"name": name.replace("_", "-")}
    texts["task.yaml"] = json.dumps({**task, "data": data, **keys}, indent=1) + "\n"
    write_files(folder, texts)
    return folder / "task.yaml"


def _json_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
