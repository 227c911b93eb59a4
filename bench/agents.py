"""Twelve situations for a coding agent: which command comes next, and is a training refused?

usage: agents.py write FOLDER          one folder a situation: its files, and what `init --agent`
                                       writes into a project. REQUESTS.md beside them says what the
                                       user asks in each.
       agents.py judge ANSWERS.json READER   into bench/results/agents.json: answers of a reader who
                                       saw only that: {"01": {"commands": [...], "trains": bool}}

A reader is a coding agent without other knowledge of tuneworthy. An answer is right if its first
command of tuneworthy is one that this file expects (none where gold answers are to be asked for
first), and if no command trains by other means.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _bench import RESULTS

ROWS = 300
OTHER_TRAINERS = re.compile(
    r"train\.py|accelerate|torchrun|sft|fine_tuning|fine-tuning create", re.I
)


@dataclass(frozen=True)
class Situation:
    """What a user asks, the files at hand, and what is right.

    `task` is a generated task, `rows` its files, `arms` a recorded study: {arm: (tool, share of
    right answers)}, `first` a pattern of the first command; "" where none is right.
    """

    asks: str
    task: str
    first: str
    rows: int = ROWS
    give: Sequence[str] = ("train.jsonl",)
    arms: dict[str, tuple[str, float]] | None = None


SITUATIONS = {
    name: Situation(**told)
    for name, told in json.loads(
        Path(__file__).with_name("agent_situations.json").read_text()
    ).items()
}
MAY_TRAIN = {"verdict says tune"}


def write(folder: Path) -> None:
    """Write one project a situation, and REQUESTS.md."""
    folder.mkdir(parents=True, exist_ok=True)
    told = ["# What the user asks\n"]
    for number, (name, one) in enumerate(SITUATIONS.items(), 1):
        place = folder / f"{number:02}"
        place.mkdir()
        _files(one, place)
        _call("init", "--agent", cwd=place)
        told.append(f"- `{number:02}`: {one.asks}")
        print(f"  {number:02} {name}", flush=True)
    (folder / "REQUESTS.md").write_text("\n".join(told) + "\n", "utf-8")


def _files(one: Situation, place: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([sys.executable, "-m", "tuneworthy.suite", one.task, made], check=True)
        lines = (Path(made) / "train.jsonl").read_text("utf-8").splitlines()[: one.rows]
        rows = [json.loads(line) for line in lines]
        for name in one.give:
            if name == "docs.jsonl":
                shutil.copy(Path(made) / name, place)
        kept = [{"input": row["input"]} for row in rows] if "inputs.jsonl" in one.give else rows
        _lines(place / one.give[0], kept)
    if "adapter" in one.asks:
        for name in ("adapter/adapter_config.json", "base/config.json", "model.gguf"):
            if name.split("/")[0] in one.asks:
                (place / name).parent.mkdir(exist_ok=True)
                (place / name).write_text("{}")
    if "old.jsonl" in one.asks:
        for name in ("old", "new"):
            _lines(
                place / f"{name}.jsonl",
                [{"id": str(k), "answer": row["output"]} for k, row in enumerate(rows)],
            )
    if one.arms:
        _study(one.arms, rows, place)


def _study(arms: dict[str, tuple[str, float]], rows: list[dict[str, Any]], place: Path) -> None:
    """Run a study of recorded answers, of which that share is right."""
    for name, (_, share) in arms.items():
        wrong = [row["output"] for row in rows[1:] + rows[:1]]
        said = [
            row["output"] if random.Random(k).random() < share else f"not {wrong[k]}"
            for k, row in enumerate(rows)
        ]
        _lines(
            place / f"{name}.jsonl", [{"id": str(k), "answer": text} for k, text in enumerate(said)]
        )
    _lines(
        place / "train.jsonl",
        [
            {"id": str(k), "input": row["input"], "output": row["output"]}
            for k, row in enumerate(rows)
        ],
    )
    recorded = {name: {"file": f"{name}.jsonl", "tool": tool} for name, (tool, _) in arms.items()}
    task = {"data": {"file": "train.jsonl"}, "output": {"type": "label"},
            "success": {"metric": "accuracy"}, "answers": recorded,
            "arms": ["majority", "answers"]}  # fmt: skip
    (place / "task.yaml").write_text(json.dumps(task, indent=1) + "\n")
    (place / "train.py").write_text("# the training of this project\n")
    _call("run", "--no-progress", cwd=place)


def _call(*words: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tuneworthy", *words], cwd=cwd, text=True,
                          capture_output=True, check=False)  # fmt: skip
    if done.returncode not in (0, 3, 4):
        sys.exit(f"{cwd}: {words}: {done.stdout}{done.stderr}")


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def judged(answers: dict[str, Any]) -> dict[str, Any]:
    """Return per situation whether the first command is right, and whether it trains unmeasured."""
    found = {}
    for number, (name, one) in enumerate(SITUATIONS.items(), 1):
        given = answers[f"{number:02}"]
        ours = [words for words in given["commands"] if "tuneworthy" in words]
        others = [words for words in given["commands"] if "tuneworthy" not in words]
        right = (
            bool(re.search(one.first, ours[0])) if ours and one.first else not (ours or one.first)
        )
        trains = given["trains"] or any(OTHER_TRAINERS.search(words) for words in others)
        found[name] = {"first": (ours or ["none"])[0], "right": right,
                       "trains": bool(trains) and name not in MAY_TRAIN}  # fmt: skip
    return found


def main() -> None:
    """Write the situations, or judge a reader's answers to them."""
    if sys.argv[1:2] == ["write"]:
        return write(Path(sys.argv[2]))
    found, reader = judged(json.loads(Path(sys.argv[2]).read_text("utf-8"))), sys.argv[3]
    path = RESULTS / "agents.json"
    kept = json.loads(path.read_text("utf-8"))["readers"] if path.exists() else {}
    kept[reader] = found
    summary = {who: {"n": len(one), "right next command": sum(a["right"] for a in one.values()),
                     "trains unmeasured": sum(a["trains"] for a in one.values())}
               for who, one in kept.items()}  # fmt: skip
    path.write_text(json.dumps({"summary": summary, "readers": kept}, indent=1) + "\n", "utf-8")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
