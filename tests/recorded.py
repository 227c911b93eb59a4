"""Studies of recorded answers for tests: rows of a label or JSON task, systems that fail."""

import json
import random
from pathlib import Path

from tests.studies import lines

LABELS = ("refund", "delivery", "warranty")


def rows(n, json_task=False, days=False):
    draw = random.Random(3)
    found = []
    for at in range(n):
        label = LABELS[draw.randrange(3)]
        right = json.dumps({"kind": label, "floor": at % 4}) if json_task else label
        row = {"id": f"r{at}", "input": f"about {label}, order {draw.randrange(10**6)}"}
        day = {"time": f"2024-01-{1 + at * 30 // n:02d}"} if days else {}
        found.append({**row, "output": right, **day})
    return found


def failing(made, fails, form=0.0, seed=1):
    """Return answers: `fails(at)` is the chance to fail, `form` of a failure to be one of form."""
    draw, other = random.Random(seed), {one["output"]: "none" for one in made}
    found = []
    for at, row in enumerate(made):
        text = row["output"]
        if draw.random() < fails(at):
            text = f"The answer is {text}." if draw.random() < form else other[text]
        found.append({"id": row["id"], "answer": text})
    return found


def write(folder: Path, made, systems, tools=None, arms=(), **task) -> Path:
    """Write a study of `systems` {name: answers}; `present` is what runs today."""
    folder.mkdir(parents=True, exist_ok=True)
    lines(folder / "rows.jsonl", made)
    for name, answers in systems.items():
        lines(folder / f"{name}.jsonl", answers)
    others = [name for name in systems if name != "present"]
    tools = tools or {}
    keys = {
        "name": "recorded",
        "data": {"file": "rows.jsonl"},
        "arms": [*systems, *arms],
        "answers": {
            name: {"file": f"{name}.jsonl", **({"tool": tools[name]} if name in tools else {})}
            for name in others
        },
        **({"present": {"answers": "present.jsonl"}} if "present" in systems else {}),
        **task,
    }
    path = folder / "task.yaml"
    path.write_text(json.dumps(keys), "utf-8")
    return path
