"""Run two shipped tasks on the embedded model: one refusal, one win."""

from __future__ import annotations

import os
import sys
import webbrowser
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
    recorded: Annotated[
        bool,
        typer.Option("--recorded", help="Recorded answers instead: in seconds, without a model."),
    ] = False,
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="With --recorded: open the reports.")
    ] = True,
) -> None:
    """Run two shipped tasks on the embedded model, in minutes: two verdicts, two reports.

    With --recorded three studies of recorded answers, in seconds and without a model: keyword rules
    beside a classifier, two versions of a rule system, two systems whose verdict is provisional.
    """
    if recorded:
        return _run_recorded(folder / "recorded", only, open_it and sys.stdout.isatty())
    from tuneworthy.flows.study import RunOptions, run
    from tuneworthy.report.screen import terminal_size
    from tuneworthy.report.terminal import ladder_screen
    from tuneworthy.store.signals import StopRequested, stoppable
    from tuneworthy.suite import write

    os.environ.setdefault("TUNEWORTHY_LOOKS", "folder")  # nobody decides on these rows
    for name in (only,) if only else TASKS:
        target = folder / name
        if not (target / "task.yaml").exists():
            write(name, target)
        print_stderr(f"\n{name}: {target / 'task.yaml'}")
        with stoppable(), progress_view(quiet=False) as watch:
            study = run(target / "task.yaml", RunOptions(brief=True), watch)
        show(ladder_screen(study.results, *terminal_size()))
        print_line(f"\n  report   {study.folder / 'report.html'}")
        if study.stopped:
            raise StopRequested(study.stopped.exit_code, "tuneworthy demo")


def _run_recorded(folder: Path, only: str | None, open_it: bool) -> None:
    """Run the studies of recorded answers, print their first screens and open their reports."""
    from tuneworthy.flows.study import run
    from tuneworthy.records.errors import TaskError
    from tuneworthy.report.screen import terminal_size
    from tuneworthy.report.terminal import ladder_screen
    from tuneworthy.suite import STUDIES, write_recorded

    if only is not None and only not in STUDIES:
        raise TaskError("the demo has no such task", where="--only", got=only,
                        fix=f"there are: {', '.join(STUDIES)}", kept="everything")  # fmt: skip
    os.environ.setdefault("TUNEWORTHY_LOOKS", "folder")  # nobody decides on these rows
    for name in (only,) if only else STUDIES:
        path = write_recorded(name, folder / name)
        study = run(path)  # as `tuneworthy run` would, so that build and settle find it
        report = study.folder / "report.html"
        print_line(f"\n{name}: recorded answers, no model\n")
        show(ladder_screen(study.results, *terminal_size()))
        print_line(f"\n  report   {report}")
        if open_it:
            webbrowser.open(report.resolve().as_uri())
