"""One request of a log of served requests, whatever form the log has."""

from __future__ import annotations

from dataclasses import dataclass


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
