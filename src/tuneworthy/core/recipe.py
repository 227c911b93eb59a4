"""The record of how a prompt is built, which later arms reuse and a build contains."""

from __future__ import annotations

from typing import Literal

from tuneworthy.core.record import Record


class Recipe(Record):
    """How a prompt is built, so that later arms can reuse the best one (see prompting/).

    `kind`: zero (instruction and answer format), few (k fixed shots), nearest (the k shots nearest
    to the query), short (the instruction alone), file (the user's own template `text`, with
    `{input}` replaced). Shots are ids of training cases. `specification` replaces the task's
    instruction and answer format, `reminder` follows each input; a short or file recipe has
    neither.
    """

    kind: Literal["zero", "few", "nearest", "short", "file"] = "zero"
    k: int = 0
    shots: tuple[str, ...] = ()
    text: str | None = None
    shuffled: bool = False
    specification: str | None = None
    reminder: str | None = None

    @property
    def learned(self) -> bool:
        """Return whether training rows decide the prompt's examples or its wording."""
        written = self.specification is not None or self.reminder is not None
        return self.kind in ("few", "nearest") or written
