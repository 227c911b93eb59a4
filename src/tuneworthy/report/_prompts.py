"""Terminal screen of the first prompt of every arm, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from rich.text import Text

from tuneworthy.core.case import Message
from tuneworthy.report._screens import escape_line, finished, wrapped


class ShownPrompt(Protocol):
    """An arm's first prompt: its model and messages, a note, and the arm with an equal one."""

    @property
    def arm(self) -> str:
        """Return the arm's name."""

    @property
    def model(self) -> str:
        """Return the spec of the model."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """Return the messages, in order."""

    @property
    def note(self) -> str:
        """Return a note on what changes the prompt, or why the arm sends none."""

    @property
    def same_as(self) -> str:
        """Return the earlier arm with the same messages, or ""."""


def prompts_screen(prompts: Sequence[ShownPrompt], width: int = 80, plain: bool = False) -> Text:
    """Return the prompts, whole: role and text of every message, one arm after the other."""
    lines: list[Text] = []
    for shown in prompts:
        to = f"  → {shown.model}" if shown.model else ""
        lines += [Text(x, "bold") for x in wrapped(escape_line(shown.arm + to, plain), width)]
        if shown.note:
            lines += [Text(x, "dim") for x in wrapped(escape_line(shown.note, plain), width)]
        if shown.same_as:
            lines.append(Text(f"  the same messages as {escape_line(shown.same_as, plain)}"))
        else:
            lines += _message_lines(shown.messages, width, plain)
        lines.append(Text())
    lines.append(Text("  Nothing was sent."))
    return finished(lines, plain)


def _message_lines(messages: Sequence[Message], width: int, plain: bool) -> Iterator[Text]:
    for message in messages:
        yield Text(f"  [{message.role}]", "cyan")
        for line in message.content.split("\n"):
            yield from (Text(x) for x in wrapped(escape_line(line, plain), width, "    "))
