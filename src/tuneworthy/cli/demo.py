"""Run two shipped tasks on the embedded model: one refusal, one win."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuneworthy.cli._options import (
    Json,
    print_line,
    print_stderr,
    progress_view,
    show,
    show_json,
)

if TYPE_CHECKING:
    from tuneworthy.flows.study import Study

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
    json: Json = False,
) -> None:
    """Run two shipped tasks on the embedded model, in minutes: two verdicts, two reports.

    With --recorded three studies of recorded answers, in seconds and without a model: keyword rules
    beside a classifier, two versions of a rule system, two systems whose verdict is provisional.
    """
    if recorded:
        return _run_recorded(folder / "recorded", only, open_it and sys.stdout.isatty(), json)
    from tuneworthy.flows.study import RunOptions, run
    from tuneworthy.store.signals import StopRequested, stoppable
    from tuneworthy.suite import write

    found: list[Study] = []
    os.environ.setdefault("TUNEWORTHY_LOOKS", "folder")  # nobody decides on these rows
    for name in (only,) if only else TASKS:
        target = folder / name
        if not (target / "task.yaml").exists():
            write(name, target)
        print_stderr(f"\n{name}: {target / 'task.yaml'}")
        with stoppable(), progress_view(quiet=json) as watch:
            found.append(study := run(target / "task.yaml", RunOptions(brief=True), watch))
        if not json:
            _show_study(study)
        if study.stopped:
            raise StopRequested(study.stopped.exit_code, "tuneworthy demo")
    if json:
        _print_verdicts(found)


def _show_study(study: Study) -> None:
    from tuneworthy.report.screen import terminal_size
    from tuneworthy.report.terminal import ladder_screen

    show(ladder_screen(study.results, *terminal_size()))
    print_line(f"\n  report   {study.folder / 'report.html'}")


def _print_verdicts(studies: Sequence[Study]) -> None:
    """Print a JSON list: the verdict of each study, and its report."""
    from tuneworthy.records.record import canonical

    show_json(canonical([{"report": str(study.folder / "report.html"),
                          "verdict": study.verdict.plain()} for study in studies]))  # fmt: skip


def _run_recorded(folder: Path, only: str | None, open_it: bool, json: bool) -> None:
    """Run the studies of recorded answers, print their first screens and open their reports."""
    from tuneworthy.flows.study import run
    from tuneworthy.records.errors import TaskError
    from tuneworthy.suite import STUDIES, write_recorded

    if only is not None and only not in STUDIES:
        raise TaskError("the demo has no such task", where="--only", got=only,
                        fix=f"there are: {', '.join(STUDIES)}", kept="everything")  # fmt: skip
    os.environ.setdefault("TUNEWORTHY_LOOKS", "folder")  # nobody decides on these rows
    found: list[Study] = []
    for name in (only,) if only else STUDIES:
        path = write_recorded(name, folder / name)
        # As `tuneworthy run` would, so that build and settle find it.
        found.append(study := run(path))
        if json:
            continue
        print_line(f"\n{name}: recorded answers, no model\n")
        _show_study(study)
        if open_it:
            webbrowser.open((study.folder / "report.html").resolve().as_uri())
    if json:
        _print_verdicts(found)
