"""Check a request to the playground, answer its input in one way, send the events.

    begin   {task, input, gold, seed, limit, ends, arm: {its settings}, prompt_tokens, passage_text}
    tokens  {from, tokens: [[text, logprob, [[text, logprob], …]]]}
    answer  {text, tokens, ended, score, valid, error}
    end     {state, because, seconds}

Log-probabilities are natural, at temperature 1 and without the grammar. What is recorded of it is
written by bench/_lab_play.py. Knows no page and no process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from tuneworthy.arms.prompt.grammar import grammar
from tuneworthy.arms.prompt.messages import build
from tuneworthy.arms.retrieval.index import Index, index
from tuneworthy.lab.cases import ANSWER_TOKENS, LabCase, scored_case
from tuneworthy.lab.events import SCHEMA, Emit, RunStopped
from tuneworthy.lab.problem import Problem
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.failure import DEFAULTS, LabRow, LabRows
from tuneworthy.records.model import Limits, Reply

SHOWN_ALTERNATIVES = 5  # alternatives of a token

_TOKEN_BATCH_SECONDS = 0.1  # seconds between two batches of tokens

ADAPTERS = Path(__file__).parent / "adapters"  # a small one for each task, by its name

Control = Callable[[], None]


class PlayRun:
    """One play: an input, one way to answer it, and the stream of the answer's tokens."""

    def __init__(self, config: Mapping[str, Any], seed: int, base: Any) -> None:
        """`base` is the embedded model."""
        self.name, self.input_text = str(config["task"]), str(config["input"])
        self.arm, self.seed, self.base = PlayArm(**config["arm"]), seed, base
        self.known_row = known_row(self.name, self.input_text)
        self.scorer = scorer(TASKS[self.name].task())
        self.passage = self._found_passage() if self.arm.passage else None
        self.prompt = self._whole_prompt()

    def run(self, emit: Emit, control: Control) -> None:
        """Decode the answer and send the events; `control` stops it by raising RunStopped."""
        begun, state = time.perf_counter(), "done"
        try:
            emit(self._begin_event())
            control()
            self._answer(emit, control)
        except RunStopped:
            state = "stopped"
        emit(
            {
                "kind": "end",
                "state": state,
                "because": "stopped before the answer was whole" if state == "stopped" else None,
                "seconds": round(time.perf_counter() - begun, 1),
            }
        )

    def _begin_event(self) -> dict[str, Any]:
        return {
            "kind": "begin",
            "schema": SCHEMA,
            "task": self.name,
            "input": self.input_text,
            "gold": self.known_row.output if self.known_row else None,
            "seed": self.seed,
            "limit": ANSWER_TOKENS,
            "ends": self.end_texts(),
            "arm": vars(self.arm),
            "prompt_tokens": self.base.count_tokens(self.prompt),
            "passage_text": list(self.passage) if self.passage else None,
        }

    def end_texts(self) -> list[str]:
        """Return the texts of the tokens that end a turn."""
        return [self._token_text(token) for token in self.base.ends]

    def limits(self) -> Limits:
        """Return how the arm decodes: its temperature, and a grammar where the schema is on."""
        given = [row.output for row in task_rows(self.name).train]
        return Limits(
            max_tokens=ANSWER_TOKENS, temperature=self.arm.temperature, seed=self.seed,
            grammar=grammar(TASKS[self.name].task(), given) if self.arm.schema else None,
        )  # fmt: skip

    def _found_passage(self) -> tuple[str, str] | None:
        """Return title and text of the best passage for the input, None if there is none."""
        at = self.known_row.meta.get("time") if self.known_row else None
        found = _document_index(self.name).search([(self.input_text, at)], 1)[0]
        return (found[0].title or found[0].doc, found[0].text) if found else None

    def _whole_prompt(self) -> tuple[Message, ...]:
        """Return the prompt of training for the input, with the arm's examples and passage."""
        turns = task_rows(self.name).new[0].messages[:-1]
        query = Query(id="asked", messages=(*turns, Message(role="user", content=self.input_text)))
        shots = self.arm.shots
        kind = Recipe(kind="few" if shots else "zero", k=shots, specification="")
        given = (self.passage,) if self.passage else ()
        return build(TASKS[self.name].task(), query, kind, _training_cases(self.name), given)

    def _answer(self, emit: Emit, control: Control) -> None:
        """Decode the answer, and send its tokens a few times a second."""
        from tuneworthy.models.local.follower import Follower

        sent, last = 0, 0.0

        def send(made: Sequence[Any]) -> None:
            nonlocal sent, last
            if len(made) > sent:
                words = [self.token_entry(*one) for one in made[sent:]]
                emit({"kind": "tokens", "from": sent, "tokens": words})
                sent, last = len(made), time.perf_counter()

        def told(follower: Follower) -> bool:
            control()
            if time.perf_counter() - last >= _TOKEN_BATCH_SECONDS:
                send(follower.tops)
            return False

        follower = Follower(told, top=SHOWN_ALTERNATIVES)
        model = model_at(self.arm.strength, self.name, self.base)
        reply = model.reply_followed([self.prompt], self.limits(), [follower])[0]
        send([*follower.tops, *follower.end])
        emit({"kind": "answer", **self.answer_values(reply)})

    def token_entry(self, token: int, value: float, top: Sequence[tuple[int, float]]) -> list[Any]:
        """Return a token as pages show it: text, log-probability, and the likeliest with theirs."""
        others = [[self._token_text(one), _rounded(log)] for one, log in top]
        return [self._token_text(token), _rounded(value), others]

    def _token_text(self, token: int) -> str:
        tokenizer = self.base.tokenizer
        return str(tokenizer.decode([token], clean_up_tokenization_spaces=False))

    def answer_values(self, reply: Reply) -> dict[str, Any]:
        """Return the fields of the event `answer`: the text, how it ended, its score."""
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


def model_at(strength: float, name: str, base: Any) -> Any:
    """Return the base with the adapter of a task, whose change is multiplied by `strength`."""
    from tuneworthy.models.local.adapter_strength import at_strength

    return at_strength(base, base.with_adapter(ADAPTERS / name), strength) if strength else base


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

SHOWN_INPUTS = 8  # new rows that the page offers as inputs

SEED = 0  # the seed of the rows and of the adapter


@dataclass(frozen=True)
class PlayArm:
    """One way to answer: number of examples, schema, passage, temperature, adapter strength."""

    shots: int = 0
    schema: bool = False
    passage: bool = False
    temperature: float = 0.0
    strength: float = 0.0


_FIRST_ARMS = (PlayArm(), PlayArm(shots=4), PlayArm(strength=1.0))  # shown first

STOPS: Mapping[str, tuple[Any, ...]] = {
    "shots": (0, 2, 4, 8),
    "temperature": (0.0, 0.5, 1.0, 1.5),
    "strength": (0.0, 0.25, 0.5, 1.0, 1.5),
}
"""The values of the controls at which answers are recorded, in all combinations."""


def arm_key(arm: PlayArm) -> str:
    """Return a setting in the words of the page's address: shots,schema,passage,T,strength."""
    return f"{arm.shots},{arm.schema:d},{arm.passage:d},{arm.temperature:g},{arm.strength:g}"


def all_arms(name: str) -> Iterator[PlayArm]:
    """Yield each setting of a task at the stops of its controls, with its switch off and on."""
    switch = "schema" if has_schema(name) else "passage"
    for on, *values in product((False, True), *STOPS.values()):
        yield PlayArm(**{switch: on}, **dict(zip(STOPS, values, strict=True)))


def record_name(name: str, row: int) -> str:
    """Return the name of the record of a task's offered input number `row`."""
    return f"play-{name}-{row}"


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


def play_config(name: str, text: str, arm: PlayArm) -> dict[str, Any]:
    """Return a play's configuration as a dict. Raises Problem (422) for values out of bounds."""
    if name not in TASKS:
        raise Problem(422, "the playground has no such task", where="task", got=name,
                      fix=f"one of: {', '.join(TASKS)}")  # fmt: skip
    if not text.strip() or len(text) > MOST_INPUT:
        got = "nothing" if not text.strip() else f"{len(text)} characters"
        raise Problem(422, "the input is empty or too long", where="input", got=got,
                      fix=f"1 to {MOST_INPUT} characters")  # fmt: skip
    _check_bounds("arm.shots", arm.shots, MOST_SHOTS)
    _check_bounds("arm.temperature", arm.temperature, MOST_TEMPERATURE)
    _check_bounds("arm.strength", arm.strength, MOST_STRENGTH)
    if arm.schema and not has_schema(name):
        raise Problem(422, "this task has no schema: its answers are free text",
                      where="arm.schema", got="true", fix="turn it off")  # fmt: skip
    if arm.passage and not has_docs(name):
        raise Problem(422, "this task has no documents", where="arm.passage", got="true",
                      fix="turn it off, or choose policy_faq")  # fmt: skip
    rounded = {**asdict(arm), "temperature": round(arm.temperature, 2),
               "strength": round(arm.strength, 2)}  # fmt: skip
    return {"does": PLAY_KIND, "task": name, "input": text, "arm": rounded}


def strength_config(strength: float) -> dict[str, Any]:
    """Return the configuration of measuring one adapter strength. Raises Problem (422)."""
    _check_bounds("strength", strength, MOST_STRENGTH)
    return {"does": STRENGTH_KIND, "strength": round(strength, 2)}


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
                    for row in task_rows(name).new[:SHOWN_INPUTS]
                ],
            }
            for name, title in _TITLES.items()
        ],
        "most": {"shots": MOST_SHOTS, "temperature": MOST_TEMPERATURE, "strength": MOST_STRENGTH,
                 "arms": MOST_ARMS, "input": MOST_INPUT},
        "least": {"arms": LEAST_ARMS},
        "first": [asdict(arm) for arm in _FIRST_ARMS],
        "stops": STOPS,
    }  # fmt: skip
