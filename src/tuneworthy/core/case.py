"""A case is a row with its gold answer; a query is the part of it that an arm may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from tuneworthy.core.record import Record, Text

Speaker = Literal["system", "user", "assistant", "tool"]


class Message(Record):
    """One turn of a conversation."""

    role: Speaker
    content: Text


class Query(Record):
    """The part of a scored case that an arm sees: never output, accepted or meta.

    `gold_passage` is filled only for arms whose ROLE is ceiling.
    """

    id: str
    messages: tuple[Message, ...]
    time: str | None = None
    group: str | None = None
    gold_passage: str | None = None

    @property
    def input(self) -> str:
        """Return the text of the last user turn."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")


class Case(Record):
    """A row: the conversation up to the answer, and the gold answer.

    `output` is the gold answer as text (a JSON answer as its JSON text). `id` is the row's own id
    or a hash of its content, so it does not depend on the order of rows. `where` is `file:line`.
    """

    id: str
    messages: tuple[Message, ...]
    output: str
    accepted: tuple[str, ...] = ()
    must_say: tuple[str, ...] = ()
    must_not_say: tuple[str, ...] = ()
    context: str | None = None
    context_inferred: bool = False
    group: str | None = None
    time: str | None = None
    meta: dict[str, Any] = Field(default_factory=dict)
    where: str = ""

    @property
    def input(self) -> str:
        """Return the text of the last user turn."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")

    def query(self, *, gold_passage: bool = False) -> Query:
        """Return the query of this case: the part that an arm may see."""
        return Query(
            id=self.id,
            messages=self.messages,
            time=self.time,
            group=self.group,
            gold_passage=self.context if gold_passage else None,
        )


def right_answers(cases: Iterable[Case]) -> frozenset[tuple[str, str]]:
    """Return (case id, stripped text) of each case's right answer and accepted ones."""
    return frozenset(
        (case.id, text.strip()) for case in cases for text in (case.output, *case.accepted)
    )
