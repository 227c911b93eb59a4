"""The protocols of a language model and the records of a request; `scripted` is the public fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from tuneworthy.records.answer import Finish, Lossy
from tuneworthy.records.case import Message
from tuneworthy.records.record import GrownRecord, Record, Text
from tuneworthy.records.task import Task

Prompt = Sequence[Message]

SCORED_LABELS = 16  # most labels that are scored for each prompt; more are decoded token by token


class Grammar(Record):
    """A constraint on an answer: a JSON schema (`json`), a label list (`labels`) or a `regex`.

    `spaced`: JSON has a space after each comma and colon, as in the training answers.
    """

    kind: Literal["json", "labels", "regex"]
    value: Any
    spaced: bool = False

    @property
    def scored(self) -> bool:
        """Return whether the answer is the likeliest of few labels, each of which is scored.

        Scoring reads every label for every prompt: 77 labels took five times as long as an answer
        on the embedded model. With many labels the answer is decoded under the list, as servers do.
        """
        return self.kind == "labels" and len(self.value) <= SCORED_LABELS


class Limits(Record):
    """Sampling parameters. `temperature` 0 is greedy. `seed` and `sample` identify one draw.

    `thinking`: whether the model reasons before it answers (`auto`: only if that can't be switched
    off); the reasoning has `thought_tokens` of its own in addition to `max_tokens`.
    """

    max_tokens: int = Field(gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0
    sample: int = 0
    stop: tuple[str, ...] = ()
    grammar: Grammar | None = None
    thinking: Literal["auto", "off", "on"] = "auto"
    thought_tokens: int = Field(default=0, ge=0)


class Reply(Lossy):
    """A model's reply to one prompt. `seconds` is its share of the batch, by tokens.

    `text` is the answer without the reasoning before it; `tokens_thought` counts the reasoning and
    is included in `tokens_out`. From an endpoint: `served` and `system_fingerprint` name the model
    as the server states it; `seconds` are those of the request, and `concurrency` is the number of
    requests in flight when it was sent. `labels` maps label -> probability where the endpoint
    returns no text but these.
    """

    text: Text
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None
    seconds: float | None = None
    usd: float | None = None
    finish: Finish = "stop"
    served: Text | None = None
    system_fingerprint: Text | None = None
    concurrency: int | None = None
    labels: dict[str, float] | None = Field(default=None, exclude_if=lambda value: value is None)


def final_replies(stored: Mapping[str, Any]) -> bool:
    """Return whether a stored unit {"replies": ...} is final: no reply failed only for now."""
    return not any(reply["lost"] == "for now" for reply in stored["replies"])


@runtime_checkable
class Model(Protocol):
    """A source of replies. Every attribute is content: it is part of each answer's cache key.

    `spec` is the name in task.yaml; `fingerprint` names engine, precision, weights, tokenizer,
    template and versions; `context` is the maximum of prompt plus answer tokens (None: unknown).
    """

    spec: str
    fingerprint: dict[str, str]
    context: int | None

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Return one reply per prompt, in order.

        Raises ModelError or ProviderError. A single row that fails is a Reply with `error`.
        """
        ...

    def count_tokens(self, prompt: Prompt) -> int:
        """Return the token count of the rendered prompt, generation header included."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A model that can also return log-probabilities of given answers."""

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return, for each prompt and each of its continuations, the summed log-probability.

        The end-of-turn token is part of each continuation; natural logarithm.
        """
        ...


def limits_for(task: Task, max_tokens: int, **more: Any) -> Limits:
    """Return Limits with the task's thinking settings and `max_tokens` tokens for the answer."""
    return Limits(
        max_tokens=max_tokens,
        thinking=task.thinking,
        thought_tokens=task.thinking_tokens,
        **more,
    )


def reasoning_tokens(task: Task, model: Model) -> int:
    """Return how many reasoning tokens a model may add to an answer; 0 if it does not reason."""
    return task.thinking_tokens if getattr(model, "thinks", False) else 0


def scaled_limits(limits: Limits, factor: int) -> Limits:
    """Return limits with the answer and reasoning tokens multiplied by a factor."""
    tokens = {
        "max_tokens": factor * limits.max_tokens,
        "thought_tokens": factor * limits.thought_tokens,
    }
    return limits.model_copy(update=tokens)


_PATH_STARTS = (".", "/", "~")


class ServerModel(GrownRecord):
    """The model of an inference server: its weights, hub revision, name and adapter rank.

    `weights` is a hub name or a path, `revision` a commit of the hub ("" for none given). `name` is
    what requests call the model. `rank` is the highest rank of the adapters that the server will
    get, 0 for a server without adapters.
    """

    LATER = frozenset({"rank"})

    weights: str
    name: str
    revision: str = ""
    rank: int = 0

    @property
    def is_path(self) -> bool:
        """Return whether the weights are a file or folder of this machine."""
        return self.weights.startswith("/")

    @property
    def trained_as(self) -> str:
        """Return the `hf:` spec of the same weights, which this process trains an adapter on."""
        return f"hf:{self.weights}" + (f"@{self.revision}" if self.revision else "")


def parse_server_model(text: str, folder: Path, rank: int = 0) -> ServerModel:
    """Return the server model that `ORG/NAME[@REVISION]`, or a path relative to `folder`, names."""
    if text.startswith(_PATH_STARTS):
        path = (folder / Path(text).expanduser()).resolve()
        return ServerModel(weights=str(path), name=path.name, rank=rank)
    name, _, revision = text.partition("@")
    return ServerModel(weights=name, name=name, revision=revision, rank=rank)
