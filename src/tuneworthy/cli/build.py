"""Build the arm that the verdict names: refit, export, ask every form again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import (
    BadRows,
    Json,
    MaxBad,
    TaskFile,
    print_line,
    print_messages,
    share,
    show_json,
    task_path,
)

EXIT_REFUSED = 4


def command(
    task: TaskFile = Path("task.yaml"),
    arm: Annotated[
        str | None, typer.Option(help="Build this arm.", show_default="the verdict's")
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(help="Write this form (repeatable).", show_default="all that apply"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder of builds.", show_default="build/ by the task")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; train and write nothing.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(help="Push the artefact to this (private) hub repository.")
    ] = None,
    pay: Annotated[
        bool, typer.Option("--pay", help="Allow paid models without a cap on their cost.")
    ] = False,
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    json: Json = False,
) -> int:
    """Build the arm that the verdict names, and ask every exported form the cases again.

    The arm is fitted on all rows. Exit code 4: an exported form answers worse by more than the
    margin, or is not the model that was evaluated; nothing is published then. A build that was
    stopped goes on when it is called again.
    """
    from tuneworthy.building import BuildOptions, build
    from tuneworthy.core.record import canonical
    from tuneworthy.core.run_options import RunOptions
    from tuneworthy.ledger.signals import stoppable
    from tuneworthy.report._build import build_lines

    run_options = RunOptions(bad_rows=bad_rows, max_bad=share(max_bad), pay=pay)
    options = BuildOptions(arm=arm, forms=tuple(form or ()), out=out, dry=dry_run, push=push)
    with stoppable():
        report = build(task_path(task), run_options, options, print_messages)
    if json:
        show_json(canonical(report.plain()))
    else:
        for line in build_lines(report):
            print_line(line)
    return EXIT_REFUSED if report.refused else 0
