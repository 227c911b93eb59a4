"""Options shared by several commands, and the live view of a study in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from tuneworthy.records.counting import count_noun
from tuneworthy.records.escape import json_for_terminal, visible

TaskFile = Annotated[
    Path, typer.Argument(help="The task file, or its folder.", show_default="task.yaml")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, errors too.")]
BadRows = Annotated[
    Literal["stop", "exclude"],
    typer.Option(help="What to do with rows that can't be used: stop, or leave them out."),
]
MaxBad = Annotated[
    str, typer.Option(help="With --bad-rows=exclude: the most that may be left out (1% or 0.01).")
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Use at most this many rows; the result is marked NOT A VERDICT."),
]

Brief = Annotated[
    bool,
    typer.Option(
        "--brief",
        help="Skip optional measurements: harm outside the task, learning curves, known facts,"
        " temperatures.",
    ),
]

Minutes = Annotated[
    str | None,
    typer.Option("--minutes", help="Take at most this much time, in place of budget.minutes."),
]

_SHORT_MINUTES = 0.5  # minutes; the verdict so far is not shown in a shorter study


def task_path(path: Path) -> Path:
    """Return the task file for a file or a folder."""
    return path / "task.yaml" if path.is_dir() else path


def minutes(text: str, option: str = "--more") -> float:
    """Return the minutes of a time such as `10m`, `1.5h`, `90s` or `10`; else raise TaskError."""
    from tuneworthy.records.errors import TaskError

    units = {"s": 1 / 60, "m": 1.0, "h": 60.0}
    number, unit = (text[:-1], text[-1:]) if text[-1:] in units else (text, "m")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = 0.0
    if not 0 < value <= 100_000:
        raise TaskError(
            "that is no length of time", where=option, got=text, fix="write 10m, 90s or 1h"
        )
    return value


def share(text: str, option: str = "--max-bad") -> float:
    """Return a share written as `1%` or `0.01`. Raise TaskError outside 0 to 1."""
    from tuneworthy.records.errors import TaskError

    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise TaskError(
            "a share lies between 0 and 1", where=option, got=text, fix="write 1% or 0.01"
        )
    return value


def print_line(text: object, stream: TextIO | None = None) -> None:
    """Print lines on stdout or another stream, with control characters escaped."""
    print("\n".join(map(visible, str(text).split("\n"))), file=stream or sys.stdout)


def print_stderr(text: object) -> None:
    """Print lines on stderr, as `print_line` does."""
    print_line(text, sys.stderr)


def show_json(text: str) -> None:
    """Print JSON on stdout, with terminal control sequences escaped."""
    print(json_for_terminal(text))


def print_result(text: str, data: Any, as_json: bool) -> None:
    """Print what a command made on stdout: its data as JSON, or lines of text."""
    from tuneworthy.records.record import canonical

    if as_json:
        show_json(canonical(data))
    else:
        print_line(text)


def show(screen: Any) -> None:
    """Print a screen on stdout."""
    from tuneworthy.report.screen import show as printed

    printed(screen)


def print_messages(event: str, data: Any) -> None:
    """Print `say` and `look` events on stderr, and ignore all other events."""
    if event in ("say", "look"):
        print_stderr(data)


@contextmanager
def messages_view() -> Iterator[Callable[[str, Any], None]]:
    """Yield a watcher that prints messages; on a terminal it also shows the current step's time."""
    if not sys.stderr.isatty():
        yield print_messages
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), text, TimeElapsedColumn(), console=console,
                  transient=True) as shown:  # fmt: skip
        line = shown.add_task("reading the rows", total=None)

        def tell(event: str, data: Any) -> None:
            print_messages(event, data)
            if event in ("say", "at"):
                shown.reset(line, description=json_for_terminal(str(data)))

        yield tell


@contextmanager
def progress_view(quiet: bool) -> Iterator[Any]:
    """Yield a watcher for `study.run` that shows progress on stderr (None if quiet)."""
    if quiet:
        yield None
        return
    from tuneworthy.report.live import Live

    with Live(sys.stderr) as view:
        yield Watcher(view)


def _expected_requests(arm: Any) -> int:
    """Return the number of requests that an arm is planned to send, as the plan's screen shows."""
    expected: int = arm.requests if arm.sent is None else arm.sent.requests
    return expected


class Watcher:
    """Translates a study's events into lines of the live view."""

    def __init__(self, view: Any) -> None:
        self._view, self._arm, self._total, self._done = view, "", 1, 0

    def __call__(self, event: str, data: Any) -> None:
        """Show one event."""
        if event == "arm":
            self._arm, self._total, self._done = data.spec.name, _expected_requests(data), 0
            if data.because:
                self._arm = ""
                if not data.because.lacking:  # the plan's line counts those
                    self._view.say(f"{data.spec.name}: skipped, {data.because}")
            else:
                self._view.progress(self._arm, 0, self._total)
        elif event == "step":
            if self._arm:
                self._view.progress(self._arm, self._total or 1, self._total)
            if data and not getattr(self._view, "short", False):
                self._view.now(data.use, data.arm, data.left)
        elif event == "answers":
            self._done = min(self._done + data, self._total)
            if self._arm:  # requests outside the arms have a line of their own
                self._view.progress(self._arm, self._done, self._total)
        elif event == "say":
            self._view.say(data)
        elif event == "at":
            self._view.at(data)
        elif event == "look" and not self._view.ask_to_go_on(f"Note: {data}."):
            raise typer.Abort
        elif event == "plan":
            from tuneworthy.report.recorded_lines import needs_line

            arms = sum(not arm.because for arm in data.arms)
            parts = {
                "at most {:.0f} to see what was wrong": data.across,
                "{:.0f} beside the arms": data.beside,
            }
            sums = {text: sum(e.minutes for e in extras if not e.because)
                    for text, extras in parts.items()}  # fmt: skip
            more = [text.format(minutes) for text, minutes in sums.items() if minutes >= 0.5]
            cap = data.minutes if data.cap_minutes is None else min(data.minutes, data.cap_minutes)
            text = f"plan: {count_noun(arms, 'arm')}, about {cap:.0f} min on this machine"
            self._view.say(", ".join((text, *more)))
            self._view.short = data.minutes < _SHORT_MINUTES and data.sent is None
            if needs := needs_line(arm.because for arm in data.arms):
                self._view.say(needs)
            if (sent := data.sent) is not None:
                from tuneworthy.report.plans import money_line

                self._view.say(
                    f"endpoints: about {sent.requests:,} requests, {money_line(sent)};"
                    f" minutes by {data.assumed}"
                )
