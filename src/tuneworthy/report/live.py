"""Live view of a running study: progress per arm, and the verdict if it stopped now."""

from __future__ import annotations

import math
import re
import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live as RichLive
from rich.text import Text

from tuneworthy.report.screen import Screen, bar, can_encode_glyphs, cell
from tuneworthy.verdict.phrases import verdict_so_far

_REPEAT_AFTER_SECONDS = 10.0  # the least time between messages that differ only in numbers
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


class Live:
    """A live view: `progress` of an arm, `now` for the verdict so far, `say` for a line of text.

    On a terminal the lines are redrawn. Elsewhere, to keep a log short, a line is written at every
    tenth of an arm, when the verdict so far changes, and at most every ten seconds for messages
    that differ only in numbers. Use it as a context manager.
    """

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        self._stream = stream or sys.stderr
        self._console = Console(file=self._stream, highlight=False, markup=False, width=width)
        self._plain = not can_encode_glyphs(self._stream)
        self._arm_progress: dict[str, tuple[int, int, str]] = {}
        self._named: tuple[str, str | None] = ("", None)
        self._left: float | None = None
        self._now = ""
        self.short = False  # a study of seconds shows no verdict so far
        self._last_message, self._written = "", -math.inf
        self._redraws = self._console.is_terminal and not self._console.is_dumb_terminal
        self._redrawn = RichLive(
            console=self._console, refresh_per_second=4, get_renderable=self.screen
        )

    def __enter__(self) -> Live:
        if self._redraws:
            self._redrawn.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._redraws:
            self._redrawn.stop()

    def progress(self, arm: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of an arm's `total` answers are in; `note` is what the arm does now."""
        before = self._arm_progress.get(arm)
        self._arm_progress[arm] = (done, total, note)
        old = 10 * before[0] // max(total, 1) if before else -1 if total else 0
        if not self._redraws and 10 * done // max(total, 1) > old:
            self._write(f"{arm}: {_progress_text(done, total)}{f', {note}' if note else ''}")

    def now(self, use: str, arm: str | None, left: float | None) -> None:
        """Show the verdict as if the study stopped now, and the score (0 to 1) it may leave."""
        before = (self._named, self._left)
        self._named, self._left = (use, arm), left
        if not self._redraws and (not before[0][0] or before != (self._named, left)):
            self._write(self.verdict_line())

    def at(self, text: str) -> None:
        """Show on a terminal what the study does now, and the time left."""
        self._now = text

    def say(self, text: str) -> None:
        """Show a message; off a terminal, not if it soon repeats the last with other numbers."""
        alike = _NUMBER.sub("", text) == _NUMBER.sub("", self._last_message)
        self._last_message = text
        now = time.monotonic()
        repeated = alike and now - self._written < _REPEAT_AFTER_SECONDS
        if not self._redraws and not repeated:
            self._written = now
            self._write(text)

    def ask_to_go_on(self, text: str) -> bool:
        """Show a warning; on a terminal return whether the user goes on, elsewhere True."""
        if not (self._redraws and sys.stdin and sys.stdin.isatty()):
            self.say(text)
            return True
        self._redrawn.stop()
        self._write(text)
        answer = self._console.input("Go on? [Y/n] ")
        self._redrawn.start()
        return not answer.strip().lower().startswith("n")

    def verdict_line(self) -> str:
        """Return the verdict so far: `if you stopped now: KEEP (now), at most 9 points …`."""
        return verdict_so_far(*self._named, self._left)

    def screen(self) -> Text:
        """Return the lines to draw now: progress by arm, the verdict so far, the last message."""
        screen = Screen(min(self._console.width, 120), self._plain)
        name = 28 if screen.width >= 80 else 16
        for arm, (done, total, note) in self._arm_progress.items():
            share = done / total if total else float(done > 0)
            over = share >= 1
            text = Text(f"  {cell(screen.safe(arm), name)} ", "dim" if over else "")
            text.append(bar(share, 14) + " ", "dim" if over else "cyan")
            rest = cell(_progress_text(done, total), 16) + screen.safe(note)
            screen.add(text.append(cell(rest, screen.width - name - 19).rstrip(), "dim"))
        for line in ("" if self.short else self.verdict_line(), self._now, self._last_message):
            if line:
                shown = cell("  " + screen.safe(line), screen.width - 1).rstrip()
                screen.add(Text(shown, "bold"))
        return screen.text()

    def _write(self, text: str) -> None:
        line = Screen(plain=self._plain).safe(text)
        self._console.print(Text(line, no_wrap=True), soft_wrap=True)


def _progress_text(done: int, total: int) -> str:
    """Return "3 of 40", or "done" or "at work" for an arm that counts no answers."""
    if total > 0:
        return f"{done:,} of {total:,}"
    return "done" if done else "at work"
