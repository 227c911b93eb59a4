"""Write the two studies of `demo --recorded`: shipped tasks with shipped answers, no model."""

from __future__ import annotations

import json
import shutil
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
}
"""By task of the suite: the keys that name its recorded systems (made by tools/record_demo.py)."""


def write_recorded(name: str, folder: Path) -> Path:
    """Write a task with the recorded answers of its systems; return task.yaml.

    Files of the same names in `folder` are replaced. Raises KeyError for a task without any.
    """
    made = load("suite", name).make(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files(name, made, SEED).items():
        if file != "README.md":
            (folder / file).write_bytes(text.encode("utf-8"))
    keys = STUDIES[name]
    recorded = [keys["present"]["answers"]] if "present" in keys else keys["answers"].values()
    for file in recorded:
        shutil.copyfile(RECORDED / file, folder / file)
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    task = {key: value for key, value in made.task.items() if key not in ("arms", "seeds")}
    path = folder / "task.yaml"
    path.write_text(json.dumps({**task, "data": data, **keys}, indent=1) + "\n", "utf-8")
    return path
