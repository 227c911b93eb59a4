"""Small studies for tests: rows of a planted rule, a scripted model, recorded answers."""

import json
import random
from pathlib import Path

LABELS = ("refund", "delivery", "warranty")
WORDS = {
    "refund": ("money back", "charged twice", "refund"),
    "delivery": ("parcel", "courier", "not arrived"),
    "warranty": ("broke", "guarantee", "repair"),
}
MODEL = "scripted:./replies.jsonl"
LIGHT = ["present", "majority", "zero_shot"]  # where the arms are not the point


def rows(n: int, seed: int = 0) -> list[dict]:
    """Return n rows with an id, an input that hints at its label, and the label."""
    draw = random.Random(seed)
    found = []
    for i in range(n):
        label = LABELS[i % len(LABELS)]
        words = " ".join(draw.choice(["the", "my", "order", "please", "since", "monday", "shop"])
                         for _ in range(4))  # fmt: skip
        text = f"{draw.choice(WORDS[label])} {words} number {draw.randint(1000, 9999)}"
        found.append({"id": f"r{i}", "input": text, "output": label})
    return found


def write(folder: Path, n: int = 60, **task) -> Path:
    """Write a study into a folder and return its task file; `task` are more keys of task.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    lines(folder / "rows.jsonl", made := rows(n))
    replies = [{"when": word, "say": label} for label in LABELS[:2] for word in WORDS[label][:2]]
    lines(folder / "replies.jsonl", [*replies, {"when": "", "say": "warranty"}])
    draw = random.Random(1)
    logged = [
        {
            "id": r["id"],
            "answer": r["output"] if draw.random() < 0.8 else "none",
            "seconds": 0.1,
        }
        for r in made
    ]
    lines(folder / "logged.jsonl", logged)
    keys = {
        "name": "planted",
        "data": {"file": "rows.jsonl"},
        "model": MODEL,
        "arms": ["present", "majority", "tfidf", "zero_shot", "few_shot", "constrained"],
        "present": {"answers": "logged.jsonl"},
        "seeds": 1,
        **task,
    }
    path = folder / "task.yaml"
    path.write_text(json.dumps(keys), "utf-8")  # JSON is YAML
    return path


def lines(path: Path, values: list[dict]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")


def timeless(text: bytes) -> bytes:
    """Return verdict.json without what is measured in time, and without why a time is missing.

    Why not says how many prompts were timed before the time for it was up.
    """
    verdict = json.loads(text)
    verdict.pop("seconds")
    for path in [path for path in verdict["missing"] if "/latency_ms" in path]:
        verdict["missing"].pop(path)
    for arm in verdict["arms"]:
        for key in ("latency_ms", "fit_seconds"):
            arm.pop(key)
    return json.dumps(verdict, sort_keys=True).encode()
