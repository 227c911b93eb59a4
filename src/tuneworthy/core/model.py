"""The seam to a language model: one method, and the fake behind it is public (`scripted`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from tuneworthy.core.answer import Finish
from tuneworthy.core.case import Message
from tuneworthy.core.record import Record, Text

Prompt = Sequence[Message]


class Grammar(Record):
    """What an answer must match: a JSON schema (`json`), a label list (`labels`) or a `regex`.

    `spaced`: JSON has a space after each comma and colon, as the answers learnt from have it.
    """

    kind: Literal["json", "labels", "regex"]
    value: Any
    spaced: bool = False


class Limits(Record):
    """How an answer is drawn. `temperature` 0 is greedy. `seed` and `sample` name one draw.

    `thinking`: whether the model reasons before it answers (`auto`: only where it can't be switched
    off); a thought has `thought_tokens` of its own beside `max_tokens`.
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


class Reply(Record):
    """What a model said to one prompt. `seconds` is the share of its batch, by tokens.

    `text` is the answer without the thought before it; `tokens_thought` are the thought's tokens,
    counted in `tokens_out`. Of an endpoint: `served` and `system_fingerprint` name the model that
    answered, as the server states them; `seconds` are those of the request, and `concurrency` is
    how many requests were under way when it was sent.
    """

    text: Text
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None
    seconds: float | None = None
    usd: float | None = None
    finish: Finish = "stop"
    error: Text | None = None
    served: Text | None = None
    system_fingerprint: Text | None = None
    concurrency: int | None = None


@runtime_checkable
class Model(Protocol):
    """A way to get replies. Every attribute is content: it is part of each answer's cache key.

    `spec` is the name in task.yaml; `fingerprint` names engine, precision, weights, tokenizer,
    template and versions; `context` is the most tokens of prompt plus answer (None: unknown).
    """

    spec: str
    fingerprint: dict[str, str]
    context: int | None

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Answer each prompt; one reply a prompt, in order.

        Raises ModelError or ProviderError. A single row that fails is a Reply with `error`.
        """
        ...

    def count_tokens(self, prompt: Prompt) -> int:
        """Return the tokens of the rendered prompt, generation header included."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A model that can also say how likely given answers are."""

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return, for each prompt and each of its continuations, the summed log-probability.

        The end-of-turn token is part of each continuation; natural logarithm.
        """
        ...
