"""Public sets as types of task; their rows lie in a folder beside the project and never in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.records.errors import TaskError
from tuneworthy.suite import GeneratedTask

Row = dict[str, Any]
CHOOSE = "Which of the two ends suits the beginning? Answer with A or B."


def _plain(row: Row) -> Row:
    return {"input": row["input"], "output": row["output"]}


def _choice(row: Row) -> Row:
    """Return a choice between two texts as a row with the labels A and B."""
    one, two = row["meta"]["choices"]
    return {"input": f"{row['input']}\nA: {one}\nB: {two}", "output": "AB"[row["meta"]["gold"]]}


def _in_document(row: Row) -> Row:
    """Return a question with the id of the passage that holds its answer."""
    return {**_plain(row), "context": {"doc": row["meta"]["doc_id"]}}


@dataclass(frozen=True)
class PublicSet:
    """How a public set is read: its type in words, the form of its answers, its metric, its rows.

    `type` is an output type of task.yaml; `documents`: the set has a file `docs.jsonl`.
    """

    title: str
    type: str
    metric: str
    row: Callable[[Row], Row] = _plain
    documents: bool = False


SETS: Mapping[str, PublicSet] = {
    "banking77": PublicSet("Questions to a bank, 77 labels", "label", "accuracy"),
    "cuad_clauses": PublicSet("Clauses of contracts, 30 labels", "label", "accuracy"),
    "e2e_style": PublicSet("Attributes of a place to a sentence", "text", "rouge_l"),
    "gsm8k": PublicSet("School sums in words", "number", "number"),
    "ncbi_disease_json": PublicSet("Diseases in abstracts to JSON", "json", "fields_f1"),
    "piqa_general": PublicSet("The likelier of two ends", "label", "accuracy", _choice),
    "snips_json": PublicSet("Spoken requests to JSON", "json", "fields_f1"),
    "tatqa_reports": PublicSet("Facts in financial reports", "text", "token_f1"),
    "xquad_docs": PublicSet(
        "Facts in documents, public", "text", "token_f1", _in_document, documents=True
    ),
}


def public_task(name: str, data: Path) -> GeneratedTask:
    """Return a set below `data` as a task; its training file comes first. TaskError if absent."""
    how, folder = SETS[name], data / name
    if not (folder / "task.json").is_file():
        raise TaskError("this public set is not there", where="--data", got=str(folder),
                        fix="name the folder that holds one folder a set", kept="")  # fmt: skip
    about = json.loads((folder / "task.json").read_text("utf-8"))
    train, test = (_rows(folder / f"{part}.jsonl", how.row) for part in ("train", "test"))
    return GeneratedTask(
        rows=(*train, *test),
        task={
            "instruction": about["instruction"] or CHOOSE,
            "output": {"type": how.type},
            "success": {"metric": how.metric},
        },
        cause="learnable",
        split=len(train),
        title=how.title,
        about=f"{how.title} ({name}).",
        docs=tuple(_rows(folder / "docs.jsonl", dict)) if how.documents else (),
    )


def _rows(path: Path, row: Callable[[Row], Row]) -> list[Row]:
    return [row(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
