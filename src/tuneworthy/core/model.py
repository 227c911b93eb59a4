"""The protocols of a language model and the records of a request; `scripted` is the public fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from tuneworthy.core.answer import Finish, Lossy
from tuneworthy.core.case import Message
from tuneworthy.core.record import Record, Text

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
    requests in flight when it was sent.
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


def final_replies(stored: Mapping[str, Any]) -> bool:
    """Return whether none of the replies of a unit ({"replies": ...}) failed for now."""
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
