"""Records of a built artefact, a deployed arm as plain data and files: `serve` opens it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Query
from tuneworthy.records.model import Grammar, Limits, Model, Prompt
from tuneworthy.records.record import GrownRecord, Record


class Recipe(Record):
    """How a prompt is built, so that later arms can reuse the best one (see arms/prompt/).

    `kind`: zero (instruction and answer format), few (k fixed shots), nearest (the k shots nearest
    to the query), short (the instruction alone), file (the user's own template `text`, with
    `{input}` replaced). Shots are ids of training cases. `specification` replaces the task's
    instruction and answer format, `reminder` follows each input; a short or file recipe has
    neither.
    """

    kind: Literal["zero", "few", "nearest", "short", "file"] = "zero"
    k: int = 0
    shots: tuple[str, ...] = ()
    text: str | None = None
    shuffled: bool = False
    specification: str | None = None
    reminder: str | None = None

    @property
    def learned(self) -> bool:
        """Return whether training rows decide the prompt's examples or its wording."""
        written = self.specification is not None or self.reminder is not None
        return self.kind in ("few", "nearest") or written


RAW_SUFFIX = ":raw"

"""Suffix of an artefact's served name for its model without the artefact's prompt."""


def artefact_name(task: str, arm: str) -> str:
    """Return TASK-ARM with odd characters as `-`: the name of a task's artefacts in file names."""
    name = f"{task}-{arm}"
    return "".join(mark if mark.isalnum() or mark in "._-" else "-" for mark in name)


class Passages(Record):
    """Retrieval settings: at most `k` passages in `tokens` tokens, chunks of `size` characters."""

    k: int
    tokens: int
    size: int
    dense: bool


class Pack(GrownRecord):
    """How a fitted arm answers, as plain data: enough to answer without the training rows.

    `role` is the model that answers (a key of `Setup.models`); "" for an arm without a model, whose
    files answer (a classifier). `adapter`: the model answers with the adapter in the artefact;
    `weights`: with the weights in it, all of which were trained. The model keeps one in `every`
    layers (1: all). `examples` are the rows that the recipe may show, in training order. `grammar`
    constrains the answer; `draft`: only where a free answer is invalid. `votes` samples are drawn
    at `limits` and the commonest answer counts (0: one greedy answer). `vectors`: the classifier
    reads sentence vectors of the encoder in place of texts; `encoder`: those of a tuned encoder in
    the artefact. `first` is a classifier that answers from the probability `least` on, before the
    model is asked. An answer below the probability `sure_from` is to be handed over to somebody
    else (None: every answer is given).
    """

    LATER: ClassVar[frozenset[str]] = frozenset(
        {"weights", "every", "first", "least", "sure_from", "encoder"}
    )

    role: str = "base"
    recipe: Recipe | None = None
    examples: tuple[Case, ...] = ()
    limits: Limits | None = None
    grammar: Grammar | None = None
    draft: bool = False
    votes: int = 0
    passages: Passages | None = None
    adapter: bool = False
    vectors: bool = False
    encoder: bool = False
    weights: bool = False
    every: Annotated[int, Field(ge=1)] = 1
    first: Pack | None = None
    least: float = 0.0
    sure_from: float | None = None

    @property
    def classifies(self) -> Pack | None:
        """Return the part that answers with a classifier's file: this pack, `first`, or None."""
        return self.first if self.role else self

    @property
    def trained(self) -> bool:
        """Return whether the answering model was trained."""
        return self.adapter or self.weights


class Artefact(Record):
    """The manifest of a build folder (`artefact.json`).

    `id` is the hash of everything that decides an answer (12 hex digits); `name`-`id` is the name
    under which it is served. `model` is the spec of the answering model ("" without one) and
    `fingerprint` its fingerprint when it was evaluated, adapter included. `task` holds the task's
    instruction, output, metric and thinking settings. `files` maps each file of the folder, by its
    relative path, to its SHA-256. `evidence` is the verdict's evidence hash; `expires` is a date
    (ISO), or None where facts do not go stale. `origin` is a digest of the task's folder, by which
    two tasks of one name are told apart; "" in older builds. `roles` are those of the turns before
    the last one in the rows, None in older builds.
    """

    version: Literal[1, 2] = 2
    id: str
    name: str
    arm: str
    tool: str
    made_by: str
    model: str = ""
    fingerprint: dict[str, str] = Field(default_factory=dict)
    pack: Pack
    task: dict[str, Any]
    files: dict[str, str] = Field(default_factory=dict)
    forms: tuple[str, ...] = ()
    evidence: str = ""
    expires: str | None = None
    origin: str = ""
    roles: tuple[str, ...] | None = None


class System(Protocol):
    """The protocol of an opened artefact, which answers as the evaluated arm did.

    `model` is the answering model with its adapter applied, None for a classifier. `prompts`
    returns the messages that `answer` sends to it, one prompt a query (None without a model).
    """

    artefact: Artefact
    model: Model | None
    limits: Limits | None

    def answer(self, queries: Sequence[Query]) -> list[Answer]:
        """Return one answer per query, in order."""
        ...

    def prompts(self, queries: Sequence[Query]) -> list[Prompt] | None:
        """Return one prompt per query, in order; None for a system without a model."""
        ...
