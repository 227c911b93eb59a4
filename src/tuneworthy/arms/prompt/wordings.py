"""Wordings that a prompt search tries, and general requests that are replayed in training.

Each is an edit of the instruction, the form of an answer and the `notes` on the training answers:
parts are added, reordered or worded more strictly. A label is described, never renamed, so that
every answer stays one of the task's own labels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from tuneworthy.arms.prompt.messages import form_sentence, specification
from tuneworthy.arms.prompt.notes import (
    field_notes,
    json_skeleton,
    label_notes,
    style_samples,
    text_notes,
)
from tuneworthy.records.case import Case
from tuneworthy.records.record import Record
from tuneworthy.records.task import Task

_ANSWER_ONLY = {
    "json": "Write the JSON and nothing else: no explanation, no text before or after it.",
    "label": "Write one label of the list, spelled as it is there, and nothing else.",
    "number": "Write the number and nothing else.",
    "text": "Write the answer and nothing else: no introduction, no remark.",
}  # fmt: skip

_REMINDER_CHARACTERS = 200  # the longest instruction that a reminder repeats

_IRRELEVANT_SENTENCES = (
    "Keep sentences short and leave a line between paragraphs.",
    "A page is easier to read when its margins are wide.",
    "Dates in a letter stand at the top and names at the bottom.",
    "Tables are read from left to right, lists from top to bottom.",
    "Paper should be kept dry and away from the light.",
)  # fmt: skip


class _Wording(Record):
    """A candidate text for a prompt, and the name of the edit that made it."""

    name: str
    text: str


def wordings(task: Task, train: Sequence[Case]) -> tuple[_Wording, ...]:
    """Return the specifications to try for a task, most promising first, without the task's own."""
    kind = task.output.type or "text"
    ask, only = task.instruction.strip(), _ANSWER_ONLY[kind]
    build = {"json": _json_candidates, "label": _label_candidates}.get(kind, _text_candidates)
    candidates = [
        _Wording(name=name, text="\n".join(part for part in parts if part))
        for name, parts in build(task, train, ask, only)
    ]
    usual = specification(task)
    texts = {w.text: w for w in reversed(candidates) if w.text.strip() and w.text != usual}
    return tuple(w for w in candidates if texts.get(w.text) is w)


def reminders(task: Task) -> tuple[_Wording, ...]:
    """Return the texts that a prompt may repeat after every input, just before the answer."""
    only, ask = _ANSWER_ONLY[task.output.type or "text"].partition(":")[0], task.instruction.strip()
    candidates = [_Wording(name="answer only, after the input", text=f"{only.rstrip('.')}.")]
    if ask and len(ask) <= _REMINDER_CHARACTERS:
        candidates.append(_Wording(name="instruction again, after the input", text=ask))
    return tuple(candidates)


def irrelevant(own: str, text: str) -> str:
    """Return `own` padded with irrelevant words to at least the number of words of `text`.

    With the task's own specification it is the placebo of a rewritten one.
    """
    missing, fill = len(text.split()) - len(own.split()), list[str]()
    while missing > len(fill):
        fill += " ".join(_IRRELEVANT_SENTENCES).split()
    return "\n".join(part for part in (own, " ".join(fill[: max(missing, 0)])) if part)


Parts = list[tuple[str, list[str]]]


def _json_candidates(task: Task, train: Sequence[Case], ask: str, only: str) -> Parts:
    notes, shape = list(field_notes(train)), json_skeleton(train)
    noted = ["The fields:", *notes] if notes else []
    like = f"Answer only with JSON like this: {shape}" if shape else form_sentence(task)
    return [
        ("notes on the fields", [ask, form_sentence(task), *noted]),
        ("an outline of the answer, and notes", [ask, *noted, like, only]),
        ("answer only, said strictly", [ask, form_sentence(task), only]),
        ("an outline of the answer", [ask, like]),
    ]


def _label_candidates(task: Task, train: Sequence[Case], ask: str, only: str) -> Parts:
    labels = task.output.labels or ()
    head = "Answer with exactly one of these labels. Each has an example of what it means."
    telling = "Answer with exactly one of these labels. Each has words that are typical of it."
    typical, words = (list(label_notes(train, labels, words=flag)) for flag in (False, True))
    return [
        ("labels with a typical input each", [ask, head, *typical]),
        ("labels with their words", [ask, telling, *words]),
        ("answer only, said strictly", [ask, form_sentence(task), only]),
        ("labels with a typical input each, rule last", ["The labels:", *typical, ask, only]),
    ]


def _text_candidates(task: Task, train: Sequence[Case], ask: str, only: str) -> Parts:
    notes = list(text_notes(train))
    noted = ["What an answer is like:", *(f"- {line}" for line in notes)] if notes else []
    read = ["Answers read like this:", *(f"- {text}" for text in style_samples(train, 2))]
    return [
        ("notes on the answers", [ask, form_sentence(task), *noted]),
        ("answers shown without their inputs", [ask, form_sentence(task), *read]),
        ("answer only, said strictly", [ask, form_sentence(task), only]),
        ("notes on the answers, rule last", [*noted, ask, form_sentence(task), only]),
    ]


REQUESTS = (
    "What is {}? Answer in one sentence.",
    "Name two things that people need for {}.",
    "Describe {} to a child in two sentences.",
    "Give one example of {}.",
    "Why do people care about {}? Be brief.",
    "List three words that go with {}.",
    "Write one question about {}.",
    "What should one avoid with {}? One sentence.",
    "Who would know most about {}?",
    "Write a short headline about {}.",
    "Where would you find {}? Answer briefly.",
    "State one common mistake about {}.",
)

SUBJECTS = (
    "a bridge", "a post office", "cooking rice", "a thunderstorm", "a violin", "a recipe book",
    "keeping bees", "a fire drill", "a river delta", "a night bus", "painting a wall", "a volcano",
    "a school trip", "a water pump", "sewing a button", "a street lamp", "a savings account",
    "a football match", "a compass", "making soup", "a hospital ward", "a coral reef", "juggling",
    "an election", "a bakery", "first aid", "a mountain hut", "a telephone call", "a clay pot",
    "riding a horse", "a sundial", "an orchard", "a birthday card", "a ferry", "knitting",
    "an earthquake", "a desert", "a newspaper", "folding paper", "a swimming pool",
)  # fmt: skip


@cache
def general_prompts() -> tuple[str, ...]:
    """Return 480 requests, each of REQUESTS about each of SUBJECTS, in a fixed shuffled order."""
    made = [request.format(subject) for request in REQUESTS for subject in SUBJECTS]
    random.Random("general prompts").shuffle(made)
    return tuple(made)
