"""Check a request to the playground, answer its input in up to four ways, send the events.

    begin   {task, input, gold, seed, limit, ends, arms: [{its settings, prompt_tokens, passage}]}
    tokens  {arm, from, tokens: [[text, logprob, [[text, logprob], …]]]}
    answer  {arm, text, tokens, ended, score, valid, error}
    end     {state, because, seconds}

Log-probabilities are natural, at temperature 1 and without the grammar. One arm answers after the
other. Knows no page and no process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuneworthy.arms.prompt.grammar import grammar
from tuneworthy.arms.prompt.messages import build
from tuneworthy.arms.retrieval.index import Index, index
from tuneworthy.lab.cases import ANSWER_TOKENS, LabCase, scored_case
from tuneworthy.lab.encode import trained_model
from tuneworthy.lab.events import SCHEMA, Emit, Event, RunStopped, write_record
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import PACKAGE_RECORDS
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.failure import DEFAULTS, LabRow, LabRows
from tuneworthy.records.model import Limits, Prompt, Reply

_SHOWN_ALTERNATIVES = 5  # alternatives of a token

_TOKEN_BATCH_SECONDS = 0.1  # seconds between two batches of tokens

_STEPS_PER_LINE = 8  # steps of the adapter's training between two lines about it

RECORD_FILE = PACKAGE_RECORDS / "play.json.gz"

Control = Callable[[], None]


class PlayRun:
    """One play: its input, its arms, and each arm's stream of tokens."""

    def __init__(self, config: Mapping[str, Any], seed: int, base: Any, shared: Path) -> None:
        """`base` is the embedded model; the folder `shared` keeps the trained adapter."""
        self.name, self.input_text = str(config["task"]), str(config["input"])
        self.arms = [PlayArm(**arm) for arm in config["arms"]]
        self.seed, self.base, self.shared = seed, base, shared
        self.case, self.rows = TASKS[self.name], task_rows(self.name)
        self.known_row = known_row(self.name, self.input_text)
        self.scorer = scorer(self.case.task())

    def run(self, emit: Emit, control: Control) -> None:
        """Decode all arms and send the events; `control` stops it by raising RunStopped."""
        begun, state = time.perf_counter(), "done"
        try:
            passages = [self._passage() if arm.passage else None for arm in self.arms]
            prompts = [self._prompt(*pair) for pair in zip(self.arms, passages, strict=True)]
            emit(self._begin_event(prompts, passages))
            control()
            self._answer_all(prompts, emit, control)
        except RunStopped:
            state = "stopped"
        emit(
            {
                "kind": "end",
                "state": state,
                "because": "stopped before all answers were whole" if state == "stopped" else None,
                "seconds": round(time.perf_counter() - begun, 1),
            }
        )

    def _begin_event(
        self, prompts: Sequence[Sequence[Message]], passages: Sequence[tuple[str, str] | None]
    ) -> dict[str, Any]:
        return {
            "kind": "begin",
            "schema": SCHEMA,
            "task": self.name,
            "input": self.input_text,
            "gold": self.known_row.output if self.known_row else None,
            "seed": self.seed,
            "limit": ANSWER_TOKENS,
            "ends": [self._token_text(token) for token in self.base.ends],
            "arms": [
                {
                    **vars(arm),
                    "prompt_tokens": self.base.count_tokens(prompt),
                    "passage_text": list(passage) if passage else None,
                }
                for arm, prompt, passage in zip(self.arms, prompts, passages, strict=True)
            ],
        }

    def _passage(self) -> tuple[str, str] | None:
        """Return title and text of the best passage for the input, None if there is none."""
        at = self.known_row.meta.get("time") if self.known_row else None
        found = _document_index(self.name).search([(self.input_text, at)], 1)[0]
        return (found[0].title or found[0].doc, found[0].text) if found else None

    def _prompt(self, arm: PlayArm, passage: tuple[str, str] | None) -> tuple[Message, ...]:
        """Return the prompt of training for the input, with the arm's examples and passage."""
        turns = self.rows.new[0].messages[:-1]
        query = Query(id="asked", messages=(*turns, Message(role="user", content=self.input_text)))
        kind = Recipe(kind="few" if arm.shots else "zero", k=arm.shots, specification="")
        given = (passage,) if passage else ()
        return build(self.case.task(), query, kind, _training_cases(self.name), given)

    def _answer_all(
        self, prompts: Sequence[tuple[Message, ...]], emit: Emit, control: Control
    ) -> None:
        models = models_at([arm.strength for arm in self.arms], self.name, self.base,
                           (self.shared, emit, control))  # fmt: skip
        rule = grammar(self.case.task(), [row.output for row in self.rows.train])
        for at, (arm, prompt) in enumerate(zip(self.arms, prompts, strict=True)):
            limits = Limits(
                max_tokens=ANSWER_TOKENS, temperature=arm.temperature, seed=self.seed,
                grammar=rule if arm.schema else None,
            )  # fmt: skip
            self._answer(at, models[arm.strength], prompt, limits, emit, control)

    def _answer(
        self, at: int, model: Any, prompt: Prompt, limits: Limits, emit: Emit, control: Control
    ) -> None:
        """Decode the answer of arm number `at`, and send its tokens a few times a second."""
        from tuneworthy.models.local.follower import Follower

        sent, last = 0, 0.0

        def send(made: Sequence[Any]) -> None:
            nonlocal sent, last
            if len(made) > sent:
                words = [self._token_entry(*one) for one in made[sent:]]
                emit({"kind": "tokens", "arm": at, "from": sent, "tokens": words})
                sent, last = len(made), time.perf_counter()

        def told(follower: Follower) -> bool:
            control()
            if time.perf_counter() - last >= _TOKEN_BATCH_SECONDS:
                send(follower.tops)
            return False

        follower = Follower(told, top=_SHOWN_ALTERNATIVES)
        reply = model.reply_followed([prompt], limits, [follower])[0]
        send([*follower.tops, *follower.end])
        emit({"kind": "answer", "arm": at, **self._answer_values(reply)})

    def _token_entry(self, token: int, value: float, top: Sequence[tuple[int, float]]) -> list[Any]:
        others = [[self._token_text(one), _rounded(log)] for one, log in top]
        return [self._token_text(token), _rounded(value), others]

    def _token_text(self, token: int) -> str:
        tokenizer = self.base.tokenizer
        return str(tokenizer.decode([token], clean_up_tokenization_spaces=False))

    def _answer_values(self, reply: Reply) -> dict[str, Any]:
        answer = Answer(case="asked", text=reply.text, tokens_out=reply.tokens_out,
                        finish=reply.finish, error=reply.error)  # fmt: skip
        found = self.scorer(scored_case(self.known_row), answer) if self.known_row else None
        return {
            "text": reply.text,
            "tokens": reply.tokens_out,
            "ended": reply.finish == "stop",
            "score": round(found.value, 3) if isinstance(found, Score) else None,
            "valid": self.scorer.valid(answer),
            "error": reply.error,
        }


def run_play(
    config: Mapping[str, Any], seed: int, base: Any, how: tuple[Path, Emit, Control]
) -> None:
    """Run a play; `how` is (folder of the adapter, `emit` for events, `control`)."""
    shared, emit, control = how
    PlayRun(config, seed, base, shared).run(emit, control)


def record_play(base: Any, shared: Path, path: Path = RECORD_FILE) -> Path:
    """Run the playground's first play, write its record and return the record's path.

    The record also holds the page's data, which takes a second to compute.
    """
    events: list[Event] = []
    text = task_rows(_FIRST_TASK).new[0].input
    play = PlayRun(play_config(_FIRST_TASK, text, _FIRST_ARMS), SEED, base, shared)
    play.run(events.append, lambda: None)
    kept = [event for event in events if event["kind"] != "log"]
    return write_record([{"kind": "page", **playground_data()}, *kept], path)


def models_at(
    strengths: Sequence[float], name: str, base: Any, how: tuple[Path, Emit, Control]
) -> dict[float, Any]:
    """Return {strength: model} for strengths of the task's adapter, which is trained on first use.

    `how`: (folder of the adapter, `emit` for messages while it is trained, `control`).
    """
    from tuneworthy.models.local.adapter_strength import at_strength

    models = {0.0: base}
    wanted = sorted({strength for strength in strengths if strength})
    if wanted:
        tuned = tuned_model(base, name, how)
        models |= {strength: at_strength(base, tuned, strength) for strength in wanted}
    return models


def tuned_model(base: Any, name: str, how: tuple[Path, Emit, Control]) -> Any:
    """Return the model with the task's adapter, trained once by the lab's clean configuration."""
    shared, emit, control = how
    rows = task_rows(name)

    def told(step: int) -> None:
        control()
        if step == 1 or step % _STEPS_PER_LINE == 0:
            line = f"Training the adapter on {len(rows.train)} rows, once: step {step}."
            emit({"kind": "log", "line": line})

    return trained_model(base, rows, SEED, shared, told)


@lru_cache(maxsize=4)
def _training_cases(name: str) -> tuple[Case, ...]:
    return tuple(scored_case(row) for row in task_rows(name).train)


@lru_cache(maxsize=4)
def _document_index(name: str) -> Index:
    case: LabCase = TASKS[name]
    return index(case.docs())


def _rounded(value: float) -> float:
    return round(max(value, -999.0), 3)


PLAY_KIND, STRENGTH_KIND = "play", "strength"  # the kinds of jobs of the playground

LEAST_ARMS, MOST_ARMS = 2, 4

MOST_SHOTS, MOST_TEMPERATURE, MOST_STRENGTH = 16, 2.0, 1.5

MOST_INPUT = 2000

_SHOWN_INPUTS = 8  # new rows that the page offers as inputs

SEED = 0  # the seed of the rows and of the adapter


@dataclass(frozen=True)
class PlayArm:
    """One way to answer: number of examples, schema, passage, temperature, adapter strength."""

    shots: int = 0
    schema: bool = False
    passage: bool = False
    temperature: float = 0.0
    strength: float = 0.0


_FIRST_TASK = "support_tickets"

_FIRST_ARMS = (PlayArm(), PlayArm(shots=6), PlayArm(strength=1.0))  # shown first, from a record


@dataclass(frozen=True)
class _TaskModule:
    """Stands for a failure mode's module: names a task, so a LabCase can draw its clean rows."""

    TASK: str


_TITLES = {"support_tickets": "Tickets to JSON", "policy_faq": "Questions on office rules"}

TASKS = {name: LabCase("playground", _TaskModule(name)) for name in _TITLES}


@lru_cache(maxsize=4)
def task_rows(name: str) -> LabRows:
    """Return the rows of a task of the playground, which are those of the lab's clean run."""
    return TASKS[name].rows(DEFAULTS, SEED)


def has_schema(name: str) -> bool:
    """Return whether the answers of a task have a schema, which a grammar can enforce."""
    return TASKS[name].task().output.type == "json"


def has_docs(name: str) -> bool:
    """Return whether a task has documents, so that a prompt can hold a passage."""
    return bool(TASKS[name].docs())


def known_row(name: str, text: str) -> LabRow | None:
    """Return the task's new row with this input, whose right answer is known; None for others."""
    return next((row for row in task_rows(name).new if row.input == text), None)


def play_config(name: str, text: str, arms: Sequence[PlayArm]) -> dict[str, Any]:
    """Return a play's configuration as a dict. Raises Problem (422) for values out of bounds."""
    if name not in TASKS:
        raise Problem(422, "the playground has no such task", where="task", got=name,
                      fix=f"one of: {', '.join(TASKS)}")  # fmt: skip
    if not text.strip() or len(text) > MOST_INPUT:
        got = "nothing" if not text.strip() else f"{len(text)} characters"
        raise Problem(422, "the input is empty or too long", where="input", got=got,
                      fix=f"1 to {MOST_INPUT} characters")  # fmt: skip
    if not LEAST_ARMS <= len(arms) <= MOST_ARMS:
        raise Problem(422, "too few or too many columns", where="arms", got=len(arms),
                      fix=f"{LEAST_ARMS} to {MOST_ARMS}")  # fmt: skip
    for at, arm in enumerate(arms):
        _check_arm(name, arm, f"arms.{at}")
    rounded = [{**asdict(arm), "temperature": round(arm.temperature, 2),
                "strength": round(arm.strength, 2)} for arm in arms]  # fmt: skip
    return {"does": PLAY_KIND, "task": name, "input": text, "arms": rounded}


def strength_config(strength: float) -> dict[str, Any]:
    """Return the configuration of measuring one adapter strength. Raises Problem (422)."""
    _check_bounds("strength", strength, MOST_STRENGTH)
    return {"does": STRENGTH_KIND, "strength": round(strength, 2)}


def _check_arm(task: str, arm: PlayArm, where: str) -> None:
    _check_bounds(f"{where}.shots", arm.shots, MOST_SHOTS)
    _check_bounds(f"{where}.temperature", arm.temperature, MOST_TEMPERATURE)
    _check_bounds(f"{where}.strength", arm.strength, MOST_STRENGTH)
    if arm.schema and not has_schema(task):
        raise Problem(422, "this task has no schema: its answers are free text",
                      where=f"{where}.schema", got="true", fix="turn it off")  # fmt: skip
    if arm.passage and not has_docs(task):
        raise Problem(422, "this task has no documents", where=f"{where}.passage", got="true",
                      fix="turn it off, or choose policy_faq")  # fmt: skip


def _check_bounds(where: str, value: float, most: float) -> None:
    if not 0 <= value <= most:  # NaN fails too
        raise Problem(422, "this value is out of bounds", where=where, got=value,
                      fix=f"a number from 0 to {most:g}")  # fmt: skip


def playground_data() -> dict[str, Any]:
    """Return the page's data: tasks with a few new rows, bounds of settings, the first arms."""
    return {
        "tasks": [
            {
                "name": name,
                "title": title,
                "schema": has_schema(name),
                "docs": has_docs(name),
                "rows": [
                    {"input": row.input, "gold": row.output}
                    for row in task_rows(name).new[:_SHOWN_INPUTS]
                ],
            }
            for name, title in _TITLES.items()
        ],
        "most": {"shots": MOST_SHOTS, "temperature": MOST_TEMPERATURE, "strength": MOST_STRENGTH,
                 "arms": MOST_ARMS, "input": MOST_INPUT},
        "least": {"arms": LEAST_ARMS},
        "first": [asdict(arm) for arm in _FIRST_ARMS],
    }  # fmt: skip
