"""Tune MiniLM by our arms `encoder`, `setfit` and by their peers' own scripts, on the same rows.

usage: encoder_peers.py ROWS [seeds] [more]   ROWS: a folder with train.jsonl and test.jsonl of
{"input", "output"}. 200 rows to learn from and 200 to score, drawn by the seed. The sides
alternate in one run. Needs the extras `train` and `setfit`. One thread, so that programs beside it
change the seconds least. `trainer` has our epochs, batch and rate; the word `more` adds one of ten
epochs at 2e-4, since its head starts at random. `setfit script` has our steps and SetFit's head.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from _bench import alternate, write
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)
from transformers.utils import logging

from tuneworthy.metrics import scorer
from tuneworthy.models.encoder.encoder import locate
from tuneworthy.records.arm import Setup
from tuneworthy.records.case import Case, Message
from tuneworthy.records.plugins import load
from tuneworthy.records.task import Data, Output, Task

LEARNT, SCORED, STEPS = 200, 200, 40
OPTIONS = {"encoder": {}, "setfit": {"steps": STEPS}}
QUIET: dict[str, Any] = {"report_to": "none", "save_strategy": "no", "output_dir": ""}
Rows = list[dict[str, str]]
Side = Callable[[Rows, Rows, int], float]


def ours(name: str) -> Side:
    """Return a call that fits an arm of ours and returns its accuracy on the scored rows."""

    def run(train: Rows, test: Rows, seed: int) -> float:
        labels = tuple(sorted({row["output"] for row in train + test}))
        task = Task(data=Data(file="x"), output=Output(type="label", labels=labels))
        arm = load("arms", name)
        setup = Setup(task=task, train=cases(train), dev=(), models={}, score=scorer(task),
                      folder=Path(tempfile.mkdtemp()))  # fmt: skip
        fitted = arm.fit(setup, arm.Options(**OPTIONS[name]), seed)
        said = fitted.answer([case.query() for case in cases(test)])
        return share([answer.text for answer in said], test)

    return run


def cases(rows: Rows) -> list[Case]:
    """Return rows as cases."""
    return [
        Case(
            id=str(at), messages=(Message(role="user", content=row["input"]),), output=row["output"]
        )
        for at, row in enumerate(rows)
    ]


def share(said: list[str], rows: Rows) -> float:
    """Return the share of rows whose label was said."""
    return sum(one == row["output"] for one, row in zip(said, rows, strict=True)) / len(rows)


def trainer(epochs: int, rate: float) -> Side:
    """Return a call that runs the plain Trainer script on MiniLM."""

    def run(train: Rows, test: Rows, seed: int) -> float:
        labels = sorted({row["output"] for row in train})
        folder = str(locate())
        tokenizer = AutoTokenizer.from_pretrained(folder)
        torch.manual_seed(seed)
        net = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(labels))

        def read(rows: Rows) -> list[dict[str, Any]]:
            ids = tokenizer([row["input"] for row in rows], truncation=True, max_length=256)
            at = {label: number for number, label in enumerate(labels)}
            outputs = [at.get(row["output"], 0) for row in rows]
            return [
                {"input_ids": one, "attention_mask": mask, "labels": label}
                for one, mask, label in zip(
                    ids["input_ids"], ids["attention_mask"], outputs, strict=True
                )
            ]

        with tempfile.TemporaryDirectory() as out:
            args = TrainingArguments(
                **QUIET | {"output_dir": out}, num_train_epochs=epochs, learning_rate=rate,
                per_device_train_batch_size=16, per_device_eval_batch_size=32, seed=seed,
                use_cpu=True, logging_strategy="no", disable_tqdm=True,
            )  # fmt: skip
            work = Trainer(model=net, args=args, train_dataset=read(train),
                           data_collator=DataCollatorWithPadding(tokenizer))  # fmt: skip
            work.train()
            best = work.predict(read(test)).predictions.argmax(-1)
        return share([labels[at] for at in best], test)

    return run


def setfit_script(train: Rows, test: Rows, seed: int) -> float:
    """Run SetFit as its page shows it, on MiniLM, and return its accuracy on the scored rows."""
    import setfit
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from sklearn.linear_model import LogisticRegression

    reader = Transformer(str(locate()), max_seq_length=256)
    body = SentenceTransformer(modules=[reader, Pooling(384), Normalize()], device="cpu")
    model = setfit.SetFitModel(model_body=body, model_head=LogisticRegression())
    rows = Dataset.from_dict({"text": [row["input"] for row in train],
                              "label": [row["output"] for row in train]})  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        args = setfit.TrainingArguments(**QUIET | {"output_dir": out}, batch_size=16,
                                        max_steps=STEPS, seed=seed, eval_strategy="no")  # fmt: skip
        setfit.Trainer(model=model, args=args, train_dataset=rows).train()
    return share(list(model.predict([row["input"] for row in test])), test)


def read_rows(file: Path) -> Rows:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def main() -> None:
    """Run every side on every seed, print and write bench/results/encoder_peers.json."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    folder, seeds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    whole = {name: read_rows(folder / f"{name}.jsonl") for name in ("train", "test")}
    sides: dict[str, Side] = {
        "encoder": ours("encoder"), "trainer": trainer(4, 5e-5), "setfit": ours("setfit"),
        "setfit script": setfit_script,
    }  # fmt: skip
    if "more" in sys.argv:
        sides["trainer, more"] = trainer(10, 2e-4)
    accuracy: dict[str, list[float]] = {name: [] for name in sides}

    def on_next_seed(name: str) -> Callable[[], None]:
        def run() -> None:
            seed = len(accuracy[name])
            drawn = [random.Random(f"{part} {seed}").sample(whole[part], n)
                     for part, n in (("train", LEARNT), ("test", SCORED))]  # fmt: skip
            accuracy[name].append(round(sides[name](*drawn, seed), 4))
            print(name, accuracy[name], flush=True)

        return run

    load_before = os.getloadavg()[0]
    told = alternate({name: on_next_seed(name) for name in sides}, seeds, warm=False)
    libraries = {name: version(name) for name in ("setfit", "sentence-transformers")}
    told |= {"accuracy": accuracy, "learnt": LEARNT, "scored": SCORED, "threads": 1,
             "rows": folder.name, "load_before": round(load_before, 2),
             "libraries": libraries}  # fmt: skip
    mean = {name: round(statistics.mean(values), 3) for name, values in accuracy.items()}
    pairs = {"encoder": "trainer", "setfit": "setfit script"}
    ratio = {
        mine: round(statistics.median(
            a / b for a, b in zip(told["seconds"][mine], told["seconds"][peer], strict=True)
        ), 2) for mine, peer in pairs.items()
    }  # fmt: skip
    summary = {
        f"{mine}, seconds over {pairs[mine]} (goal 1.2)": value for mine, value in ratio.items()
    }
    summary |= {f"{name}, mean accuracy over {seeds} seeds": value for name, value in mean.items()}
    write("encoder_peers", {**told, "summary": summary})
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
