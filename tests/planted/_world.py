"""The world of a planted system: its task, possible answers, prompts, and reading of passages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from random import Random
from types import ModuleType
from typing import Any, NamedTuple

from tests.planted._shape import PlantVariant
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import OutputType, Task

PRESENT = "present"
METRIC_BY_TYPE = {"label": "accuracy", "number": "number", "text": "exact", "json": "exact"}
_FIRST_WORDS = ("amber", "brisk", "cedar", "delta", "ember", "fallow", "garnet", "hollow",
                "ivory", "juniper", "kestrel", "linden", "maple", "nettle", "ochre",
                "plover")  # fmt: skip
_SECOND_WORDS = ("anchor", "bridge", "copper", "drum", "engine", "ferry", "gate", "harbour",
                 "inlet", "jetty", "kiln", "ladder", "market", "notch", "orchard",
                 "pier")  # fmt: skip
_SYLLABLES = ("bal", "cor", "dun", "fen", "gol", "hil", "jor", "kem", "lus", "mor", "nim", "pol",
              "quo", "ras", "sul", "tev", "ur", "vel", "wim", "zan")  # fmt: skip
TERMS = ("quota", "fee", "deposit", "notice", "allowance", "rate", "ceiling", "term")
TABLE_SIZE = 48  # table entries: eight examples show a sixth of them, a hundred rows nearly all
TOPIC_WORDS = 9  # size of the vocabulary that questions with the same true answer share
_FILLER_SENTENCES = (
    "Ask the front desk where in doubt.", "This page was checked last spring.",
    "Other sites keep rules of their own.", "Copies are kept in the archive.",
)  # fmt: skip


def load(cause: str) -> ModuleType:
    """Return the module of a planted cause."""
    return import_module(f"tests.planted.{cause}")


class CaseContent(NamedTuple):
    """The content of a case: question, passage if any, misleading documents, facts of its cause.

    `gold`: the answer that counts as right, if it differs from the true one.
    """

    question: str
    passage: str | None = None
    decoys: tuple[str, ...] = ()
    facts: Mapping[str, Any] = {}
    gold: str | None = None


@dataclass(frozen=True)
class Item:
    """A case, its true answer, and the cause of its failure (`cause`; "" if it has none)."""

    case: Case
    truth: str
    cause: str
    content: CaseContent


class TrainedTable(NamedTuple):
    """The result of training: answers by key; `sound` unless trained on shuffled answers."""

    table: Mapping[str, str]
    sound: bool = True


@dataclass(frozen=True)
class PromptIngredients:
    """A prompt of a system, as the active ingredients that it contains.

    `name` and `sample` seed the draw: the same prompt gives the same answer again. `rule`: the
    task's rule is written out. `shots`: worked examples as (key, answer); `apt` if each has its own
    answer. `legal`: decoding under the grammar. `strong`: a larger model. `warm`: sampled at a
    temperature.
    """

    name: str = PRESENT
    sample: int = 0
    rule: bool = False
    shots: tuple[tuple[str, str], ...] = ()
    apt: bool = True
    passage: str | None = None
    legal: bool = False
    strong: bool = False
    warm: bool = False
    trained: TrainedTable | None = None


@dataclass(frozen=True)
class World:
    """A task of one answer type: its possible answers, their codes, and a table to learn."""

    seed: str
    kind: OutputType
    shape: PlantVariant
    style: str
    pool: tuple[str, ...]
    codes: Mapping[str, str]
    table: Mapping[str, str]
    task: Task

    @cached_property
    def answer_pattern(self) -> re.Pattern[str]:
        """Return a regular expression that matches every possible answer."""
        longest = sorted(self.pool, key=len, reverse=True)
        return re.compile(r"\b(?:" + "|".join(map(re.escape, longest)) + r")\b")

    def other_answer(self, rng: Random, truth: str) -> str:
        """Return a random possible answer other than `truth`."""
        return rng.choice([value for value in self.pool if value != truth])

    def in_form(self, item: Case, content: str) -> str:
        """Return `content`, an answer to the case `item`, in the task's output form."""
        return in_output_form(self.kind, item.id, content)


def make_world(seed: str, kind: OutputType, shape: PlantVariant, style: str) -> World:
    """Return a world drawn from a seed; the same arguments give the same world."""
    rng = Random(f"world {seed}")
    if kind == "number":
        pool = tuple(str(n) for n in rng.sample(range(120, 980), shape.size))
        codes = {value: str(int(value) * 100) for value in pool}
    else:
        words = [f"{a} {b}" for a in _FIRST_WORDS for b in _SECOND_WORDS]
        pool = tuple(rng.sample(words, shape.size))
        codes = {v: f"{chr(65 + i % 26)}{10 + 7 * i}" for i, v in enumerate(pool)}
    keys = [draw_name(rng) for _ in range(TABLE_SIZE)]
    table = {key: rng.choice(pool) for key in keys}
    labels = (*pool, *codes.values()) if kind == "label" else None
    task = Task.model_validate(
        {
            "name": "planted",
            "instruction": "Answer the question.",
            "data": {"file": "rows.jsonl"},
            "output": {"type": kind, "labels": labels},
            "success": {"metric": METRIC_BY_TYPE[kind], "margin": shape.margin},
        }
    )
    return World(seed, kind, shape, style, pool, codes, table, task)


def in_output_form(kind: str, number: str, content: str) -> str:
    """Return an answer in the output form of `kind`; JSON adds the fields `case` and `urgent`."""
    if kind != "json":
        return content
    return json.dumps({"case": number, "answer": content, "urgent": number[-1] in "13579"})


def draw_name(rng: Random) -> str:
    """Return a random name, hardly ever drawn twice (three of 20 syllables and a number)."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(3)).capitalize() + str(rng.randrange(100))


def plain_question(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question in the world's style; the style `docs` adds a passage with the answer.

    In the style `like`, questions with the same true answer share most of their words.
    """
    who, term = draw_name(rng), rng.choice(TERMS)
    if world.style == "like":
        own = Random(f"{world.seed} words {truth}")
        topic = rng.sample([draw_name(own) for _ in range(TOPIC_WORDS)], TOPIC_WORDS - 3)
        return CaseContent(f"Which answer fits a note on {' '.join(topic)} {who}?")
    if world.style != "docs":
        return CaseContent(f"Which answer fits the note on {who}, {draw_name(rng)} and the {term}?")
    return CaseContent(
        f"What is the {term} of {who}?", make_document(rng, f"The {term} of {who} is {truth}.")
    )


def make_document(rng: Random, *sentences: str) -> str:
    """Return a document: the sentences between two random filler sentences."""
    before, after = rng.sample(_FILLER_SENTENCES, 2)
    return " ".join((before, *sentences, after))


def make_case(world: World, number: int, truth: str, posed: CaseContent) -> Case:
    """Return the case of a question, with its gold answer in the task's output form."""
    own = f"c{number:05d}"
    return Case(
        id=own,
        messages=(Message(role="user", content=posed.question),),
        output=in_output_form(world.kind, own, truth if posed.gold is None else posed.gold),
        context=posed.passage,
    )


def word_set(text: str) -> frozenset[str]:
    """Return the set of words of a text, case-folded."""
    return frozenset(re.findall(r"\w+", text.casefold()))


def find_answer(world: World, question: str, passage: str, strong: bool) -> str | None:
    """Return a possible answer from the sentence that shares most words with the question, or None.

    `strong` follows a reference (`follows plan X`) to the sentence that it points to.
    """
    sentences = re.split(r"(?<=\.)\s+", passage)
    asked = word_set(question)
    if strong and (found := re.search(r"follows plan (\w+)", passage)):
        asked = word_set(f"plan {found[1]} gives")
    ranked = sorted(sentences, key=lambda one: -len(word_set(one) & asked))
    hits = (world.answer_pattern.search(one) for one in ranked)
    return next((hit[0] for hit in hits if hit), None)
