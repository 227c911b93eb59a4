"""A case is a row with its gold answer; a query is what an arm sees of it. Rows of other files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from tuneworthy.records.record import Record, Text

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


# Hex digits of a digest of a case: among a million inputs a collision has a chance of 1 in 500.
HASH_DIGITS = 12


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


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A served request; a value that the log does not give is None.

    `line` is its line in the log, from 1. `input` is the text of the last user turn, `answer` what
    was served, `output` a right answer that somebody added later. `time` is an ISO date, `seconds`
    the time to the whole answer, `group` names requests that belong together (a conversation),
    `span` the trace span that the line describes ("": none). `failed`: no answer came. `system` is
    the system prompt.
    """

    input: str | None = None
    answer: str | None = None
    output: str | None = None
    time: str | None = None
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None
    finish: str | None = None
    group: str | None = None
    failed: bool = False
    span: str = ""
    line: int = 0
    system: str | None = None


_DoubtReason = Literal["conflict", "neighbours", "consensus"]


class LabelDoubt(Record):
    """One reason to check a case's label; a case may have several.

    `conflict`: the same input has another answer elsewhere. `neighbours`: at least 4 of the 5
    nearest inputs share one other label. `consensus`: the arms that pass most cases agree on
    another answer. `why` says it in a sentence for the user.
    """

    case: str
    ground: _DoubtReason
    why: str
