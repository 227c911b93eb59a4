"""Ask a language model which tool wins on a task: make the prompt, read the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.atlas.advice_input import TOOL_CHOICES, AdviceInput, input_of
from bench.atlas.answer_file import RecordedAdvice, append_advice, read_advice

from tuneworthy.records.case import Message
from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.records.model import Grammar, Limits, Model, Reply
from tuneworthy.records.record import digest

SKILL_FILE = Path(__file__).parent / "skill.md"
WITH_SKILL = " + skill"
BATCH_SIZE = 8  # requests between two writes to the file
MOST_WEIGHT = 1e9  # of a reply's numbers, which are scaled; a larger one is no share
_MOST_SHOWN_CHARACTERS = 1_000  # of an input or output in the prompt
TOOL_MEANINGS = {
    "keep": "what runs today, unchanged",
    "classifier": "a plain classifier learns the labels from the rows",
    "prompt": "a better prompt, with examples from the rows (fixed, nearest or many)",
    "schema": "the answer is decoded under a schema or a list of labels",
    "context": "passages of documents are retrieved and shown",
    "bigger": "a larger model with the best prompt",
    "tune": "the model is fine-tuned on the rows (LoRA or all weights)",
    "distil": "a stronger model writes training answers, the model learns them",
    "none": "nothing beats answering with the most frequent answer",
}
ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "because": {"type": "string"},
        **{name: {"type": "number"} for name in TOOL_CHOICES},
    },
    "required": ["because", *TOOL_CHOICES],
    "additionalProperties": False,
}
ANSWER_LIMITS = Limits(max_tokens=700, grammar=Grammar(kind="json", value=ANSWER_SCHEMA))


def prompt_of(shown: AdviceInput, skill: str = "") -> tuple[Message, ...]:
    """Return the messages that ask for advice on a task; `skill` is added to the system message.

    They hold what every adviser gets, and the meaning of the tools; inputs and outputs are cut to
    1,000 characters.
    """
    tools = "\n".join(f"- {name}: {meaning}" for name, meaning in TOOL_MEANINGS.items())
    system = (
        "You advise engineers which tool makes a language model good enough at a task. Several"
        " tools were measured on the same test cases. The winner is the simplest tool whose score"
        " lies within the margin of the best score; the tools, the simplest first:\n"
        f"{tools}\n"
        "Not every tool was measured on every task. Answer with one JSON object: `because`, one"
        " sentence, and for each tool the probability (0 to 1) that it is the winner. The"
        " probabilities sum to 1."
    )
    rows = "\n".join(
        json.dumps(
            {
                "input": row.input[:_MOST_SHOWN_CHARACTERS],
                "output": row.output[:_MOST_SHOWN_CHARACTERS],
            },
            ensure_ascii=False,
        )
        for row in shown.rows
    )
    base = "not measured" if shown.base is None else f"{shown.base:.2f}"
    user = (
        f"Instruction: {shown.instruction}\n"
        f"Form of the answers: {shown.output_type or 'not stated'}\n"
        f"Metric: {shown.metric} (0 to 1); margin: {shown.margin:g}\n"
        f"Labelled rows to learn from: {shown.n}\n"
        f"Score of the model with the instruction alone: {base}\n"
        f"{len(shown.rows)} of the rows:\n{rows or '(not shown)'}"
    )
    system += f"\n\n{skill.strip()}" if skill else ""
    return (Message(role="system", content=system), Message(role="user", content=user))


def ask_model(
    model: Model,
    tasks: Sequence[MeasuredTask],
    path: Path,
    name: str,
    with_skill: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Ask a model about the tasks without an answer in the file `path`; append the answers.

    `name` is the adviser's name in the file. Returns the number of requests. A task is asked again
    if the recorded request failed or had another prompt. A stopped call keeps what was written.
    Raises what the model raises, DataError for a file of other content, OSError if it can't be
    written.
    """
    skill = SKILL_FILE.read_text("utf-8") if with_skill else ""
    name += WITH_SKILL if with_skill else ""
    known = {(e.task, e.asked) for e in read_advice(path) if e.adviser == name and not e.error}
    prompts = [(task, prompt_of(input_of(task), skill)) for task in tasks]
    open_ = [
        (task, prompt)
        for task, prompt in prompts
        if (task.key, _prompt_digest(prompt)) not in known
    ]
    for start in range(0, len(open_), BATCH_SIZE):
        block = open_[start : start + BATCH_SIZE]
        replies = model.reply([prompt for _, prompt in block], ANSWER_LIMITS)
        for (task, prompt), reply in zip(block, replies, strict=True):
            answer = _recorded_advice(name, task, reply, model.fingerprint)
            append_advice(path, answer.model_copy(update={"asked": _prompt_digest(prompt)}))
        say(f"{name}: {start + len(block)} of {len(open_)} tasks asked")
    return len(open_)


def read_reply(text: str) -> tuple[dict[str, float] | None, str]:
    """Return ({tool: probability}, reason) from a model's reply; (None, reason) if unreadable.

    The first JSON object of the text is read, or its member `probabilities`. Numbers are scaled to
    sum to 1, so percentages are read as well. A negative value, one that is no number, or a name
    that is no tool makes the reply unreadable.
    """
    for told in _json_objects(text):
        because = str(told.get("because", ""))[:500]
        inner = told.get("probabilities", told)
        if not isinstance(inner, dict):
            return None, because
        values = {key: value for key, value in inner.items() if key != "because"}
        good = set(values) <= set(TOOL_CHOICES) and all(
            isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v <= MOST_WEIGHT
            for v in values.values()
        )
        total = sum(values.values()) if good else 0
        return ({k: float(v) / total for k, v in values.items()} if total else None), because
    return None, ""


def _json_objects(text: str) -> Iterator[dict[str, Any]]:
    reader = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            found, _ = reader.raw_decode(text, at)
            if isinstance(found, dict):
                yield found
        except (ValueError, RecursionError):
            pass
        at = text.find("{", at + 1)


def _prompt_digest(prompt: Sequence[Message]) -> str:
    return digest([message.plain() for message in prompt], 32)


def _recorded_advice(
    name: str, task: MeasuredTask, reply: Reply, fingerprint: dict[str, str]
) -> RecordedAdvice:
    told, because = (None, "") if reply.error else read_reply(reply.text)
    return RecordedAdvice(
        adviser=name,
        task=task.key,
        probabilities=told,
        because=because,
        text=reply.text,
        error=reply.error or "",
        model={key: str(value) for key, value in fingerprint.items()},
        asked_on=datetime.now(UTC).date().isoformat(),
    )
