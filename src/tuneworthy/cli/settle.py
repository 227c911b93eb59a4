"""Settle a provisional verdict: judge blind where the two leading arms differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneworthy.cli._options import (
    BadRows,
    Json,
    MaxBad,
    TaskFile,
    print_messages,
    print_stderr,
    share,
    show,
    show_json,
    task_path,
)

if TYPE_CHECKING:
    from tuneworthy.flows.settling import SettledStudy, Settling
    from tuneworthy.records.settlement import Choice

_CHOICES: tuple[Choice, ...] = ("left", "right", "wrong", "equal", "skip")
KEYS: dict[str, Choice] = {"b": "wrong", **{choice[0]: choice for choice in _CHOICES}}
ENDS = {
    "firm": "settled: the verdict is firm",
    "pool": "no input is left: add some to data.unlabelled, or label rows",
    "patience": "the clicks allowed are spent; a larger --clicks goes on from here",
    "stopped": "stopped; `tuneworthy settle` goes on from here",
    "elsewhere": "what is open now is not between two answers; the report says what is next",
}


def command(
    task: TaskFile = Path("task.yaml"),
    clicks: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many choices in all, earlier calls included."),
    ] = None,
    show_only: Annotated[
        bool, typer.Option("--show", help="Show the progress; ask nothing, write nothing.")
    ] = False,
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    json: Json = False,
) -> None:
    """Settle a provisional verdict: say which of two answers is right, where leading arms differ.

    Which arm gave an answer is hidden, and sides are shuffled. Type one key a line: l (left is
    right), r (right is), b (both wrong), e (both right), s (skip), q (quit), or = and the right
    answer. Each choice is stored at once. The settled verdict is written beside the study's.
    """
    from tuneworthy.flows.settling import open_settling
    from tuneworthy.records.run import RunOptions

    options = RunOptions(bad_rows=bad_rows, max_bad=share(max_bad))
    with open_settling(task_path(task), options, clicks, print_messages) as settling:
        if not show_only:
            _ask_for_votes(settling, sys.stderr if json else sys.stdout)
        print_stderr(_progress_text(settling))
        if not show_only:
            _print_settled(settling.finish(), json)


def _progress_text(settling: Settling) -> str:
    from tuneworthy.report.vote_screen import progress_line

    far = settling.progress()
    return progress_line(far.left, far.clicks, far.more_clicks)


def _ask_for_votes(settling: Settling, stream: Any) -> None:
    """Ask until settling has ended, the input ends or the person quits."""
    from tuneworthy.report.screen import show, terminal_size
    from tuneworthy.report.vote_screen import question_screen

    while (question := settling.question()) is not None:
        width, plain = terminal_size(stream)
        screen = question_screen(
            question, _progress_text(settling), width, plain, settling.votes.by_preference
        )
        show(screen, stream)
        while refused := _read_vote(settling):
            if refused == "quit":
                return
            print_stderr(refused)


def _read_vote(settling: Settling) -> str:
    """Read a line and store the choice; return "" if stored, "quit", or why it was refused."""
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        return "quit"
    typed = line.strip()
    if not line or typed.lower() in ("q", "quit"):
        return "quit"
    if typed.startswith("=") and typed[1:].strip():
        return settling.click("typed", typed[1:].strip())
    choice = KEYS.get(typed.lower()) or next((c for c in _CHOICES if c == typed.lower()), None)
    return settling.click(choice) if choice else "l, r, b, e, s, q, or = and the right answer"


def _print_settled(settled: SettledStudy, json: bool) -> None:
    from tuneworthy.report.exports import verdict_json
    from tuneworthy.report.screen import terminal_size
    from tuneworthy.report.terminal import ladder_screen

    if json:
        show_json(verdict_json(settled.verdict))
        return
    show(ladder_screen(settled.results, *terminal_size()))
    outcome = settled.results.evidence.settled
    print_stderr(f"\n{ENDS[outcome.ended if outcome else 'stopped']}")
    print_stderr(f"report: {settled.folder / 'report.html'}")
    gold = settled.folder / "settled.jsonl"
    print_stderr(f"{settled.gold} rows for the next study: {gold}")
