"""Setups for arms: small label and JSON tasks, a scripted model that can also score labels."""

import json

from tests import studies

from tuneworthy.metrics import scorer
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Recipe, Setup
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Task

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["kind", "n"],
}


class Scoring(Scripted):
    """A scripted model that scores each label by how often the prompt names it."""

    def logprobs(self, prompts, continuations):
        said = ["\n".join(m.content for m in prompt[1:]) for prompt in prompts]
        return [[float(s.count(c)) for c in cs] for s, cs in zip(said, continuations, strict=True)]


def label_cases(n=30):
    return [
        Case(id=r["id"], messages=(Message(role="user", content=r["input"]),), output=r["output"])
        for r in studies.rows(n)
    ]


def json_cases(n=30):
    return [
        c.model_copy(update={"output": json.dumps({"kind": c.output, "n": at})})
        for at, c in enumerate(label_cases(n))
    ]


def task(kind="label", **more):
    output = {
        "label": Output(type="label", labels=studies.LABELS, max_tokens=8),
        "json": Output(type="json", schema=SCHEMA, max_tokens=30),
        "number": Output(type="number", max_tokens=8),
        "text": Output(type="text", max_tokens=8),
    }[kind]
    metric = {"label": "accuracy", "json": "fields_f1", "number": "number", "text": "exact"}[kind]
    return Task(data=Data(file="rows.jsonl"), instruction="Which kind?", output=output,
                success={"metric": metric}, **more)  # fmt: skip


def setup(respond, folder, kind="label", scoring=False, **more):
    """Return a Setup whose base model says what `respond(prompt, limits)` returns."""
    rows = json_cases() if kind == "json" else label_cases()
    job = task(kind)
    model = (Scoring if scoring else Scripted)("scripted:test", respond)
    parts = {"task": job, "train": rows[:18], "dev": rows[18:22], "models": {"base": model},
             "score": scorer(job), "folder": folder, "recipe": Recipe(), **more}  # fmt: skip
    return Setup(**parts)


def queries(kind="label"):
    return [c.query() for c in (json_cases() if kind == "json" else label_cases())[22:]]
