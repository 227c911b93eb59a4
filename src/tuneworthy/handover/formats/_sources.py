"""What formats are made from, and what they return; an optional package and its extra."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tuneworthy.metrics import names
from tuneworthy.records.artefact import Artefact
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import NotInstalled
from tuneworthy.records.results import Results
from tuneworthy.records.task import Task


@dataclass(frozen=True)
class Made:
    """The texts of an export by file name, and its summary."""

    files: Mapping[str, str]
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class BuiltPrompt:
    """A built prompt of one list of messages, and the scored cases that it may be tested on.

    `measured` is the arm's line of the verdict; `notes` say which cases were left out, and why.
    """

    pack: Mapping[str, Any]
    artefact: Artefact
    task: Task
    cases: Sequence[Case]
    measured: Mapping[str, Any] | None
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of the task's metrics."""
        return names(self.task)

    @property
    def right(self) -> dict[str, tuple[str, ...]]:
        """Return the right answers of each case, by its id."""
        return {case.id: (case.output, *case.accepted) for case in self.cases}

    def summary(self, **more: Any) -> dict[str, Any]:
        """Return what every export of a prompt tells, and more."""
        return {"build": f"{self.artefact.name}-{self.artefact.id}", "arm": self.artefact.arm,
                "model": self.pack["model"], "url": self.pack["url"], "key": self.pack["key"],
                "cases": len(self.cases), "measured": self.measured, **more,
                "notes": [*self.notes, *more.get("notes", ())]}  # fmt: skip


@dataclass(frozen=True)
class Chat:
    """A row to train on: the messages before the answer, and the answer."""

    messages: Sequence[Message]
    answer: str

    def turns(self) -> list[dict[str, str]]:
        """Return the messages as plain data."""
        return [{"role": one.role, "content": one.content} for one in self.messages]

    def reply(self) -> dict[str, str]:
        """Return the answer as a message."""
        return {"role": "assistant", "content": self.answer}


@dataclass(frozen=True)
class TrainingChats:
    """The rows that a build of an arm fits on, and the dev rows on which it chooses.

    `epochs` are those of the arm's training. `model` is the model to train. `tokens_of` opens a
    local model and returns each conversation's tokens by its tokenizer, or why it can't. `usd` is
    the price of a million trained tokens (None: not known).
    """

    arm: str
    verdict: str
    train: Sequence[Chat]
    dev: Sequence[Chat]
    epochs: int
    model: str
    tokens_of: Callable[[Sequence[Chat]], list[int] | str] = lambda chats: "no local model"
    usd: float | None = None
    notes: tuple[str, ...] = ()

    def summary(self, tokens: int | None, epochs: int, **more: Any) -> dict[str, Any]:
        """Return rows, tokens, epochs and price; what is not known is None, with its reason."""
        trained = None if tokens is None else tokens * epochs
        usd = None if trained is None or self.usd is None else trained * self.usd / 1_000_000
        missing = dict(more.pop("missing", {}))
        if usd is None:
            missing["usd"] = (
                missing.get("tokens", "the tokens are not counted") if tokens is None
                else f"no price: set economics.prices.{self.model or 'NAME'}.train or --train-price"
            )  # fmt: skip
        return {"arm": self.arm, "verdict": self.verdict, "rows": len(self.train),
                "dev_rows": len(self.dev), "model": self.model, "tokens": tokens, "epochs": epochs,
                "trained_tokens": trained, "usd": usd, **more, "missing": missing,
                "notes": [*self.notes, *more.get("notes", ())]}  # fmt: skip


def json_lines(values: Sequence[Any]) -> str:
    """Return JSON lines; a lone surrogate, which UTF-8 can't hold, is an escape on disk."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def library(name: str) -> Any:
    """Return an optional package. Raises NotInstalled with the extra of its name."""
    try:
        return import_module(name)
    except ImportError as error:
        raise NotInstalled(
            f"this export needs the package `{name}`", got=str(error),
            fix=f'pip install "tuneworthy[{name}]"',
        ) from None  # fmt: skip


_NOT_IN_NAMES = re.compile(r"[^\w.-]+")  # MLflow refuses an arm's brackets, commas and slashes


@dataclass(frozen=True)
class TrackedRun:
    """A verdict as one run of a tracker: its name, parameters, numbers and files."""

    project: str
    name: str
    params: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def tracked(results: Results) -> TrackedRun:
    """Return the verdict of a study as a run; an arm without a score has no numbers."""
    from tuneworthy.report.exports import export_text

    verdict, numbers = results.verdict, dict[str, float]()
    for arm in verdict.arms:
        if arm.score is not None:
            name = _NOT_IN_NAMES.sub(" ", arm.name).strip()
            told = {"n": float(arm.n), "score": arm.score.mean, **arm.score.plain()}
            numbers |= {f"{name}/{key}": told[key] for key in ("n", "score", "low", "high")}
    if verdict.left_on_table is not None:
        numbers["left_on_table"] = verdict.left_on_table.points
    params = {"task": verdict.task.name, "hash": verdict.task.hash, "use": verdict.use,
              "arm": verdict.arm or "none", "status": verdict.status,
              "tuneworthy": verdict.tuneworthy, "metric": "+".join(names(results.task)),
              "evidence": verdict.evidence_hash}  # fmt: skip
    texts = {"verdict.json": export_text(results, ".json"),
             "report.html": export_text(results, ".html")}  # fmt: skip
    name = f"{verdict.task.name}-{verdict.evidence_hash[:8]}"
    return TrackedRun(verdict.task.name, name, params, numbers, texts)
