"""Write a generated task as a folder for `tuneworthy run`; the same seed gives the same bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tuneworthy.core.plugins import load
from tuneworthy.suite._made import GeneratedTask

SEED = 0


def write(name: str, folder: Path, seed: int = SEED, n: int | None = None) -> Path:
    """Write task.yaml, train and test rows, documents, schema and README; return task.yaml's path.

    `name` is a module of suite/. Files of the same names in `folder` are replaced. Raises TaskError
    for an unknown name or if n rows can't be made.
    """
    make = load("suite", name).make
    made: GeneratedTask = make(seed) if n is None else make(seed, n)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in task_files(name, made, seed).items():
        (folder / file).write_bytes(text.encode("utf-8"))
    return folder / "task.yaml"


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
