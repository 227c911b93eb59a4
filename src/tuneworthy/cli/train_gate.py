"""Let a training start only where the stored verdict for its rows says that it pays."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json, print_stderr, show_json, task_path
from tuneworthy.records.errors import exit_code_lines

EXIT_CODES = {
    0: "the training may start, or the tool call starts none",
    1: "a bug of ours, or the command could not be started",
    2: "refused, with the reason on stderr; or the command line is wrong",
}
EPILOG = exit_code_lines(EXIT_CODES)


def command(
    words: Annotated[
        list[str] | None, typer.Argument(help="After --: the command that trains.")
    ] = None,
    task: Annotated[
        Path, typer.Option("--task", help="The task file, or its folder.", show_default="task.yaml")
    ] = Path("task.yaml"),
    closed: Annotated[
        bool, typer.Option("--closed", help="Refuse where no firm verdict holds for the rows.")
    ] = False,
    hook: Annotated[
        bool, typer.Option("--hook", help="Read a tool call of an agent from stdin (JSON).")
    ] = False,
    json: Json = False,
) -> int:
    """Let a training start only where the stored verdict for its rows says that it pays.

    With -- COMMAND it runs the command, or refuses it with exit code 2; with --hook it judges one
    tool call of a coding agent; else it only answers. It reads the stored verdict: no row, no
    model, no network. Example: tuneworthy train-gate --closed -- python train.py
    """
    from tuneworthy.agents.train_gate import asks_to_train, may_train
    from tuneworthy.records.record import canonical

    if hook and not asks_to_train(_event()):
        return 0
    answer = may_train(task_path(task), closed)
    if json:
        show_json(canonical(answer._asdict()))
    elif not (answer.allowed and answer.measured and words):
        print_stderr(answer.why)
    if not answer.allowed:
        return 2
    if words:
        sys.stdout.flush()
        os.execvp(words[0], words)
    return 0


def _event() -> dict[str, object]:
    """Return the hook's JSON object from stdin; raise TaskError for anything else."""
    import json

    from tuneworthy.records.errors import TaskError

    try:
        found = json.loads(sys.stdin.read())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TaskError("no tool call was read", where="stdin", fix="pipe the hook's JSON", kept="")
    return found
