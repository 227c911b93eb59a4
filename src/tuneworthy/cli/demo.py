"""Run two shipped tasks on the embedded model: one refusal, one win."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import print_line, print_stderr, progress_view, show

TASKS = ("clause_type", "support_tickets")


def command(
    folder: Annotated[Path, typer.Option("--folder", help="The folder to write to.")] = Path(
        "demo"
    ),
    only: Annotated[
        str | None, typer.Option("--only", help="Run one task: clause_type or support_tickets.")
    ] = None,
) -> None:
    """Run two shipped tasks on the embedded model, in minutes: two verdicts, two reports."""
    from tuneworthy.ledger.signals import stoppable
    from tuneworthy.models.local.embedded import fetch
    from tuneworthy.report.terminal import ladder_screen, terminal_size
    from tuneworthy.study import RunOptions, run
    from tuneworthy.suite import write

    os.environ.setdefault("TUNEWORTHY_LOOKS", "folder")  # nobody decides on these rows
    fetch(print_stderr)
    for name in (only,) if only else TASKS:
        target = folder / name
        if not (target / "task.yaml").exists():
            write(name, target)
        print_stderr(f"\n{name}: {target / 'task.yaml'}")
        with stoppable(), progress_view(quiet=False) as watch:
            study = run(target / "task.yaml", RunOptions(brief=True), watch)
        show(ladder_screen(study.results, *terminal_size()))
        print_line(f"\n  report   {study.folder / 'report.html'}")
