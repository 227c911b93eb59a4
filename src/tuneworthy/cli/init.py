"""Look at rows and write a task.yaml that states success in plain words."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import print_line, print_stderr


def command(
    rows: Annotated[Path, typer.Argument(help="The rows: JSONL, CSV, or OpenAI chat rows.")],
    answers: Annotated[
        list[str] | None,
        typer.Option("--answers", help="Recorded answers, as NAME=FILE; can be repeated."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The task file to write.")] = Path(
        "task.yaml"
    ),
    force: Annotated[
        bool, typer.Option("--force", help="Replace the task file if there is one.")
    ] = False,
) -> None:
    """Look at the rows and write a commented task.yaml."""
    from tuneworthy.core.errors import TuneworthyError

    try:
        seen = _written(rows, answers or [], output, force)
    except TuneworthyError as error:
        error.kept = "your rows; nothing was written"
        raise
    print_line(output)
    for one in seen:
        print_stderr(f"  {one}")
    option = "" if output == Path("task.yaml") else f" {shlex.quote(str(output))}"
    print_stderr(f"next: read it, then `tuneworthy check{option}` and `tuneworthy run{option}`")


def _written(rows: Path, answers: list[str], output: Path, force: bool) -> tuple[str, ...]:
    """Write the task file and its schema, and return what was observed in the rows."""
    import json

    from tuneworthy.core.errors import TaskError
    from tuneworthy.data.draft import draft
    from tuneworthy.data.taskfile import task_schema
    from tuneworthy.ledger.trouble import output_errors

    if output.exists() and not force:
        raise TaskError(
            "there is a task file already", where=str(output), fix="--force, or -o another.yaml"
        )
    drafted = draft(rows, dict(_pair(entry) for entry in answers), output.parent)
    schema = output.with_name("task.schema.json")
    with output_errors(output):
        output.write_text(drafted.text, "utf-8")
        schema.write_text(json.dumps(task_schema(), indent=2) + "\n", "utf-8")
    return drafted.seen


def _pair(entry: str) -> tuple[str, str]:
    from tuneworthy.core.errors import TaskError
    from tuneworthy.core.plugins import catalogue

    name, sign, file = entry.partition("=")
    if not sign or not name or not file:
        raise TaskError(
            "recorded answers need a name and a file",
            where="--answers",
            got=entry,
            fix="write --answers today=logged.jsonl",
        )
    if name != "present" and name in catalogue("arms"):
        raise TaskError(
            "recorded answers have the name of an arm",
            where="--answers",
            got=entry,
            fix=f"call them something else: --answers ours={file}",
        )
    return name, file
