"""Run the study, or continue it, and give the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import (
    BadRows,
    Brief,
    Json,
    Limit,
    MaxBad,
    TaskFile,
    minutes,
    print_stderr,
    progress_view,
    share,
    show,
    show_json,
    task_path,
)
from tuneworthy.core.exit_codes import exit_code_lines

EPILOG = exit_code_lines()


def command(
    task: TaskFile = Path("task.yaml"),
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    limit: Limit = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start the study anew; nothing is deleted.")
    ] = False,
    require_firm: Annotated[
        bool, typer.Option("--require-firm", help="Exit with 4 if the verdict is provisional.")
    ] = False,
    pay: Annotated[
        bool, typer.Option("--pay", help="Allow a paid model without budget.usd.")
    ] = False,
    brief: Brief = False,
    more: Annotated[
        str | None, typer.Option("--more", help="Go on with this study for so long (10m, 1h).")
    ] = None,
    unlock: Annotated[
        bool,
        typer.Option(
            "--unlock", help="Score the locked rows (data.locked) alone; counts as a look."
        ),
    ] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Show no live view.")] = False,
    json: Json = False,
) -> int:
    """Run the study, or continue it where it stopped, and give the verdict."""
    from tuneworthy.ledger.signals import stoppable
    from tuneworthy.report._requests import request_lines
    from tuneworthy.report.json import verdict_json
    from tuneworthy.report.terminal import ladder_screen, terminal_size
    from tuneworthy.study import RunOptions
    from tuneworthy.study import run as run_study
    from tuneworthy.verdict.exit_code import exit_code

    wishes = RunOptions(bad_rows, share(max_bad), limit, fresh=fresh, pay=pay, brief=brief,
                    unlock=unlock, more=None if more is None else minutes(more))  # fmt: skip
    with stoppable(), progress_view(json or no_progress) as watch:
        study = run_study(task_path(task), wishes, watch)
    if json:
        show_json(verdict_json(study.verdict))
        for line in request_lines(study.results):
            print_stderr(f"note: {line}")
    else:
        show(ladder_screen(study.results, *terminal_size()))
        print_stderr(f"\nreport: {study.folder / 'report.html'}")
        if served := study.serving():
            print_stderr(f"serve:  {served}")
    return exit_code(study.verdict, require_firm)
