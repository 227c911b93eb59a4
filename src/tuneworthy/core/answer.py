"""What came back for a case, and what it was worth."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tuneworthy.core.case import Message
from tuneworthy.core.record import Record, Text

Finish = Literal["stop", "length", "error"]


class Answer(Record):
    """One answer: text, tokens, seconds, cost. What was not measured is None, never 0.

    `finish` is `stop` where the answer ended by itself, `length` where the token limit cut it,
    None where a recorded answer does not say. `prompt` is what was sent, for the case page.
    `labels` holds label -> probability where a closed label set was scored. `passages` are the ids
    of the documents whose passages the prompt cites, in its order. `tokens_thought` are those of
    the reasoning before the answer, part of `tokens_out`. `samples` are all the texts drawn where
    the answer was chosen among several; tokens, seconds and cost are their sums. `served` and
    `system_fingerprint` name the model behind an endpoint that answered, `concurrency` is how many
    requests were under way there.
    """

    case: str
    text: Text
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None
    seconds: float | None = None
    usd: float | None = None
    finish: Finish | None = None
    error: Text | None = None
    prompt: tuple[Message, ...] = ()
    labels: dict[str, float] | None = None
    passages: tuple[str, ...] = ()
    samples: tuple[Text, ...] = ()
    served: Text | None = None
    system_fingerprint: Text | None = None
    concurrency: int | None = None


class Score(Record):
    """The worth of one answer in [0, 1], with why, what was extracted and whether it is valid.

    `valid`: the answer ended by itself and parses (json: matches the schema; label: equals a
    label after trimming space and case; number: one number; text: not empty).
    """

    value: float = Field(ge=0, le=1)
    why: Text = ""
    extracted: Text | None = None
    valid: bool | None = None


class Unscored(Record):
    """No score could be given, and why. It bounds the mean (all wrong .. all right)."""

    reason: Text
