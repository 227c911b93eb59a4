"""Fit an arm on rows of a task and ask it, as a study does: for experiments. One unit each."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from _claim import HOME, unit

from tuneworthy.arms._prompted import answer_token_limit, as_answer
from tuneworthy.arms.prompt.grammar import grammar
from tuneworthy.arms.prompt.messages import build_all
from tuneworthy.flows.session import RunOptions, read
from tuneworthy.measure.further.tuned_model import GENERAL_TOKENS, chat_prompts
from tuneworthy.metrics import score_all, scorer
from tuneworthy.models import open_model
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Fitted, Setup
from tuneworthy.records.case import Case, Message
from tuneworthy.records.model import limits_for
from tuneworthy.records.plugins import load
from tuneworthy.records.record import digest
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.docs import Doc
from tuneworthy.suite import write

SEEDS = (0, 1, 2)
MODEL = "smollm2-135m"
ON_TASK = 40  # own answers that are read again for the divergence on the task
PLAIN = ("tfidf", "embedding_head", "majority")  # arms without a language model


@dataclass(frozen=True)
class Rows:
    """A task with rows to learn from (`pool`), test rows and documents; `name` is part of keys."""

    name: str
    task: Task
    pool: Sequence[Case]
    test: Sequence[Case]
    docs: Sequence[Any] = ()

    def drawn(self, n: int, seed: int) -> list[Case]:
        """Return n rows to learn from, drawn by the seed; all of them for 0."""
        return Random(f"rows {seed}").sample(list(self.pool), n) if n else list(self.pool)


@dataclass(frozen=True)
class Ask:
    """An arm, the rows it learns from (drawn by `seed`, or given), its options, the temperature.

    `extra` are further questions by name; `side` measures what training changed elsewhere.
    """

    arm: str
    n: int = 0
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    heats: Sequence[float] = (0.0,)
    side: bool = False
    train: Sequence[Case] | None = None
    extra: Mapping[str, Sequence[Case]] = field(default_factory=dict)
    tag: str = ""


@cache
def suite_rows(name: str, n: int = 600) -> Rows:
    """Return a generated task: two thirds of n rows to learn from, a third to test."""
    loaded, _ = read(write(name, HOME / "tasks" / f"{name}-{n}", 0, n), RunOptions())
    return Rows(f"{name}-{n}", loaded.task, loaded.cases, loaded.test or (), loaded.docs)


def own_rows(name: str, keys: Mapping[str, Any], parts: Mapping[str, Sequence[Any]]) -> Rows:
    """Return a task of rows made here, with parts train, test and perhaps docs.

    They are built in memory: reading them from files would leave out what looks like a leak, and
    some experiments ask for the very facts that were learnt.
    """
    data = Data(train="train", test="test", docs="docs" if "docs" in parts else None)
    task = Task.model_validate({"name": name, "data": data, **keys})
    docs = {doc["id"]: Doc.model_validate(doc) for doc in parts.get("docs", ())}

    def case(row: Mapping[str, Any]) -> Case:
        context = docs[row["doc"]].text if "doc" in row else None
        said = (Message(role="user", content=row["input"]),)
        return Case(id=row["id"], messages=said, output=row["output"], group=row.get("group"),
                    context=context)  # fmt: skip

    train, test = ([case(row) for row in parts[part]] for part in ("train", "test"))
    return Rows(name, task, train, test, tuple(docs.values()))


@cache
def model() -> Any:
    """Return the embedded model, opened once."""
    return open_model(MODEL, folder=Path())


def answers(rows: Rows, ask: Ask) -> dict[str, Any]:
    """Return scores, validity and texts by temperature, CPU seconds, and what else was asked."""
    own = None if ask.train is None else digest([[c.id, c.output] for c in ask.train])
    more = {name: digest([c.input for c in cases]) for name, cases in ask.extra.items()}
    key = {"rows": rows.name, "arm": ask.arm, "n": ask.n, "seed": ask.seed, "train": own,
           "options": dict(ask.options), "heats": list(ask.heats), "side": ask.side, "extra": more,
           "test": len(rows.test), "tag": ask.tag, "clock": "cpu"}  # fmt: skip
    return unit(key, lambda: _answered(rows, ask))


def fitted(rows: Rows, ask: Ask) -> tuple[Setup, Fitted]:
    """Fit the arm on its rows, or load what was trained on them before."""
    train = list(ask.train) if ask.train is not None else rows.drawn(ask.n, ask.seed)
    lesson = digest([[case.id, case.output] for case in train])
    name = digest([rows.name, ask.arm, ask.seed, dict(ask.options), lesson])
    folder = HOME / "adapters" / name
    folder.mkdir(parents=True, exist_ok=True)
    models = {} if ask.arm in PLAIN else {"base": model(), "tune": model()}
    setup = Setup(task=rows.task, train=train, dev=(), models=models, score=scorer(rows.task),
                  folder=folder, docs=rows.docs, common=HOME / "common",
                  say=lambda text: print("  ", text, file=sys.stderr, flush=True))  # fmt: skip
    (HOME / "common").mkdir(exist_ok=True)
    arm = load("arms", ask.arm)
    return setup, arm.fit(setup, arm.Options(**ask.options), ask.seed)


def _answered(rows: Rows, ask: Ask) -> dict[str, Any]:
    begun = time.process_time()
    setup, arm = fitted(rows, ask)
    out: dict[str, Any] = {"fit_seconds": time.process_time() - begun, "heats": {}}
    first: list[Answer] = []
    for heat in ask.heats:
        given = _at(setup, arm, ask, heat, rows.test)
        first = first or given
        out["heats"][f"{heat:g}"] = scored(setup, rows.test, given)
    for key, cases in ask.extra.items():
        out[key] = scored(setup, cases, _at(setup, arm, ask, 0.0, cases))
    if ask.side and arm.artefact is not None:
        out["side"] = side_effects(arm.artefact, first)
    if ask.arm == "full":
        shutil.rmtree(setup.folder)  # half a gigabyte a seed
    return out


def _at(setup: Setup, arm: Fitted, ask: Ask, heat: float, cases: Sequence[Case]) -> list[Answer]:
    gold = load("arms", ask.arm).ROLE == "ceiling"
    queries = [case.query(gold_passage=gold) for case in cases]
    if not heat:
        return arm.answer(queries)
    rule = None
    if ask.arm == "constrained":
        rule = grammar(setup.task, [case.output for case in setup.train])
    prompts = build_all(setup.task, queries, arm.recipe, setup.train)
    how = {"temperature": heat, "seed": ask.seed, "grammar": rule}
    replies = arm.model.reply(prompts, limits_for(setup.task, answer_token_limit(setup), **how))
    return [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]


def scored(setup: Setup, cases: Sequence[Case], given: Sequence[Answer]) -> dict[str, Any]:
    """Return the score, the validity and the text of each answer; an unscored one counts 0."""
    found = score_all(setup.score, cases, given)
    values = [s.value if isinstance(s, Score) else 0.0 for s in found]
    valid = [bool(s.valid) if isinstance(s, Score) else False for s in found]
    return {"scores": [round(v, 4) for v in values], "valid": [int(v) for v in valid],
            "texts": [a.text for a in given]}  # fmt: skip


def side_effects(artefact: Path, given: Sequence[Answer]) -> dict[str, list[list[float]]]:
    """Return (tokens, base loss, tuned loss, KL) of general texts and of own answers."""
    from tuneworthy.models.train import changes

    def general() -> dict[str, Any]:
        return {"rows": changes.sample_passages(model(), chat_prompts(), GENERAL_TOKENS, 0)}

    texts = unit({"what": "general text", "model": MODEL}, general)["rows"]
    tuned = model().with_adapter(artefact, idle=True)
    told = [a for a in given if a.prompt and a.text.strip()][:ON_TASK]
    own = [changes.answered_row(model(), a.prompt, a.text, a.finish == "stop") for a in told]
    return {"general": changes.compare_models(model(), tuned, texts),
            "task": changes.compare_models(model(), tuned, own)}  # fmt: skip


def rise(side: Mapping[str, Any]) -> float:
    """Return the relative rise of the loss on general text."""
    rows = side["general"]
    return float(sum(row[2] for row in rows) / sum(row[1] for row in rows) - 1)
