"""Types of an inference card: a lab case whose failure shows without any training.

A card gets answers to new rows from the lab and yields one `CardLook` per group of rows or per
level of its setting. Knows no model and no page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tuneworthy.records.case import Message
from tuneworthy.records.failure import Config, LabRow, LabRows
from tuneworthy.records.model import Prompt


@dataclass(frozen=True)
class CardAnswer:
    """An answer to a row, with measures of its own by name (None: not measured for this row).

    `score` and `valid` are filled by the runner by the task's metric, unless the card sets a score.
    `tokens` is None where no model wrote the answer.
    """

    row: LabRow
    text: str
    ended: bool = True
    tokens: int | None = None
    score: float | None = None
    valid: bool | None = None
    measures: Mapping[str, float | None] = field(default_factory=dict)

    def with_measures(self, **measures: float | None) -> CardAnswer:
        """Return a copy of this answer with more measures."""
        return replace(self, measures={**self.measures, **measures})


@dataclass(frozen=True)
class CardLook:
    """The answers of one group of rows or level of a setting; a row's last answer counts."""

    level: str
    answers: tuple[CardAnswer, ...]


@dataclass(frozen=True)
class Passage:
    """A passage that was found for a question, and the dates between which it is in force."""

    doc: str
    title: str
    text: str
    since: str | None = None
    until: str | None = None

    def in_force(self, day: str) -> bool:
        """Return whether the passage is in force on a day (ISO dates compare as text)."""
        return (self.since or "") <= day and (self.until is None or day < self.until)


@dataclass(frozen=True)
class Sampling:
    """Decoding settings: greedy at temperature 0; `schema` allows only legal tokens."""

    temperature: float = 0.0
    top_p: float = 1.0
    schema: bool = False

    @classmethod
    def of(cls, config: Config) -> Sampling:
        """Return the decoding settings that a lab configuration names."""
        return cls(
            float(config["serve.temperature"] or 0),
            float(config.get("serve.top_p") or 1),
            bool(config["serve.schema"]),
        )


class CardTools(Protocol):
    """The protocol of what a card may use: rows, model, documents and grammar of the task."""

    @property
    def rows(self) -> LabRows:
        """Return the rows: training rows for examples, new rows to answer."""
        ...

    def groups(self) -> Iterator[tuple[LabRow, ...]]:
        """Yield the new rows in groups, one group for each `CardLook`."""
        ...

    def reply(
        self, rows: Sequence[LabRow], prompts: Sequence[Prompt], how: Sampling = Sampling()
    ) -> list[CardAnswer]:
        """Return the model's answer to each row's prompt, decoded by the settings `how`."""
        ...

    def logprobs(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[float]]:
        """Return, for each prompt, the log-probability of each of the texts as its answer."""
        ...

    def legal_mass(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[float]]:
        """Return the probability of all legal tokens before each token of each prompt's text."""
        ...

    def likeliest_tokens(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[int]]:
        """Return the id of the likeliest token before each token of each prompt's text."""
        ...

    def search(self, rows: Sequence[LabRow], k: int, dated: bool) -> list[list[Passage]]:
        """Return the k best passages for each row's question; `dated`: in force at its time."""
        ...

    def with_trained_model(self, form: str) -> CardTools:
        """Return tools whose model has the trained adapter applied, or merged in the `form`."""
        ...


def with_examples(row: LabRow, examples: Sequence[LabRow]) -> tuple[Message, ...]:
    """Return the row's prompt with examples, question and answer, before its last question."""
    *before, question = row.messages
    shown = [turn for each in examples for turn in _question_and_answer(each)]
    return (*before, *shown, question)


def with_passages(row: LabRow, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """Return the row's prompt with passages before its question."""
    *before, question = row.messages
    cited = [f"Passage ({each.title}): {each.text}" for each in passages]
    content = "\n\n".join([*cited, question.content])
    return (*before, question.model_copy(update={"content": content}))


def _question_and_answer(row: LabRow) -> tuple[Message, Message]:
    return row.messages[-1], Message(role="assistant", content=row.output)
