"""Write a generated task as a folder for `tuneworthy run`; the same seed gives the same bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tuneworthy.records.own_files import TASK, OwnKind, check_own, write_atomic
from tuneworthy.records.plugins import load
from tuneworthy.suite._made import GeneratedTask

SEED = 0
MADE = OwnKind("a file", lambda head: True)  # whose folder is ours: it has our task file


def write(name: str, folder: Path, seed: int = SEED, n: int | None = None) -> Path:
    """Write task.yaml, train and test rows, documents, schema and README; return task.yaml's path.

    `name` is a module of suite/. Files of an earlier call are replaced. Raises TaskError for other
    files in the folder, an unknown name, or if n rows can't be made.
    """
    make = load("suite", name).make
    made: GeneratedTask = make(seed) if n is None else make(seed, n)
    write_files(folder, task_files(name, made, seed))
    return folder / "task.yaml"


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write {file name: text} into a folder where none of them stands, or a task file with them.

    Raises TaskError for a file of somebody else's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours = (folder / "task.yaml").exists()
    for file in texts:
        check_own(folder / file, TASK if file == "task.yaml" else MADE, free=not ours)
    for file, text in texts.items():
        write_atomic(folder / file, text)


def task_files(name: str, made: GeneratedTask, seed: int) -> dict[str, str]:
    """Return {file name: text} of a generated task."""
    out = {
        "train.jsonl": _json_lines(made.rows[: made.split]),
        "test.jsonl": _json_lines(made.rows[made.split :]),
    }
    if made.docs:
        out["docs.jsonl"] = _json_lines(made.docs)
    if made.schema:
        out["schema.json"] = json.dumps(made.schema, indent=2) + "\n"
    return {
        "task.yaml": _task_yaml(made, out),
        **out,
        "README.md": _readme_text(name, made, seed, out),
    }


def _json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _task_yaml(made: GeneratedTask, written: Mapping[str, str]) -> str:
    data = {file.removesuffix(".jsonl"): file for file in written if file.endswith(".jsonl")}
    content = {**made.task, "data": data}
    order = ("name", "instruction", "data", "output", "success")
    content = {key: content.pop(key) for key in order} | content
    yaml, stream = YAML(), io.StringIO()
    yaml.width = 96
    yaml.dump(content, stream)
    return f"# {made.title}. {made.about}\n{stream.getvalue()}"


def _readme_text(name: str, made: GeneratedTask, seed: int, written: Mapping[str, str]) -> str:
    first = made.rows[0]
    holds = {
        "task.yaml": "the task: what to do and what success means",
        "train.jsonl": f"{made.split} rows to learn from",
        "test.jsonl": f"{len(made.rows) - made.split} rows to be measured on",
        "docs.jsonl": f"{len(made.docs)} documents, dated",
        "schema.json": "what an answer must look like",
    }
    table = "\n".join(f"- `{f}`: {t}" for f, t in holds.items() if f in {"task.yaml", *written})
    return (
        f"# {made.title}\n\n{made.about}\n\n{table}\n\n"
        f"A row asks\n\n```\n{first['input']}\n```\n\nand the right answer is\n\n"
        f"```\n{first['output']}\n```\n\n"
        f"By construction, what a bare model lacks here is **{made.cause}**.\n\n"
        "```\ntuneworthy run task.yaml\n```\n\n"
        "The rows are invented: every name and number comes from a seeded generator. They share\n"
        "wordings by design, so scores here say nothing about messages of your own.\n"
        f"`python -m tuneworthy.suite {name} FOLDER` writes this folder again (seed {seed}).\n"
    )
