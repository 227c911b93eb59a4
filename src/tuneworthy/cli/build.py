"""Build the arm that the verdict names: fit it again, export it, check each export."""

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

_EXIT_REFUSED = 4
FORMS = (
    "Export this form, and what it needs; repeatable: peft, merged, weights, gguf, encoder, prompt,"
    " schema, index, classifier, card."
)


def command(
    task: TaskFile = Path("task.yaml"),
    arm: Annotated[
        str | None, typer.Option(help="Build this arm.", show_default="the verdict's")
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(help=FORMS, show_default="all that apply"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write to.", show_default="build/ beside task.yaml"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; train and write nothing.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(help="Upload the build to this Hugging Face repository (private).")
    ] = None,
    pay: Annotated[
        bool,
        typer.Option("--pay", help="Allow a paid model without a cap, and a trainer's command."),
    ] = False,
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    json: Json = False,
) -> int:
    """Build the arm that the verdict names: fit it again, export it, check each export.

    It is fitted on all rows, except those on which it chooses a prompt, an epoch or a threshold,
    and those of your test file. Exported models and classifiers then answer the study's cases
    again. The build is refused (exit code 4) if one scores less by more than the margin, or is not
    the model that was evaluated. A second call continues a build that was stopped.
    """
    from tuneworthy.handover.building import BuildOptions, build
    from tuneworthy.records.record import canonical
    from tuneworthy.records.run import RunOptions
    from tuneworthy.report.build_screen import build_lines
    from tuneworthy.store.signals import stoppable

    run_options = RunOptions(bad_rows=bad_rows, max_bad=share(max_bad), pay=pay)
    options = BuildOptions(arm=arm, forms=tuple(form or ()), out=out, dry=dry_run, push=push)
    with stoppable():
        report = build(task_path(task), run_options, options, print_messages)
    if json:
        show_json(canonical(report.plain()))
    else:
        for line in build_lines(report):
            print_line(line)
    return _EXIT_REFUSED if report.refused else 0
