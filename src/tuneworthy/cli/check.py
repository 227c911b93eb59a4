"""Audit the rows, and say what they can show; with --live, check a log of served requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import (
    BadRows,
    Json,
    Limit,
    MaxBad,
    TaskFile,
    print_messages,
    share,
    show,
    show_json,
    task_path,
)


def command(
    task: TaskFile = Path("task.yaml"),
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    limit: Limit = None,
    live: Annotated[
        Path | None, typer.Option("--live", help="Check this log of served requests instead.")
    ] = None,
    gold: Annotated[
        Path | None, typer.Option("--gold", help="With --live: rows with fresh right answers.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option("--arm", help="With --live: the arm in use, if not the named one.")
    ] = None,
    show_inputs: Annotated[
        bool, typer.Option("--show", help="With --live: print inputs that look like no row.")
    ] = False,
    json: Json = False,
) -> None:
    """Audit rows and recorded answers, and say what they can show. Nothing is sent or compared.

    With --live LOG (JSON lines, OpenTelemetry GenAI): say whether the verdict still holds for what
    is served: keep, retrain, or repeat the verdict. Exit code 0 for each of them.
    """
    from tuneworthy.report.terminal import audit_screen, live_check_screen, terminal_size

    if live is not None:
        from tuneworthy.core.record import canonical
        from tuneworthy.watching import WatchOptions, check_live

        found = check_live(task_path(task), live, WatchOptions(arm, gold, show_inputs))
        if json:
            show_json(canonical(found))
        else:
            show(live_check_screen(found, *terminal_size()))
        return
    _refuse_alone(gold=gold, arm=arm, show=show_inputs)
    from tuneworthy.study import RunOptions, check

    options = RunOptions(bad_rows=bad_rows, max_bad=share(max_bad), limit=limit)
    audit = check(task_path(task), options, print_messages)
    if json:
        show_json(audit.model_dump_json(by_alias=True, indent=2))
    else:
        show(audit_screen(audit, *terminal_size()))


def _refuse_alone(**given: object) -> None:
    """Raise TaskError for an option that only --live reads."""
    from tuneworthy.core.errors import TaskError

    if alone := [name for name, value in given.items() if value]:
        raise TaskError("this option belongs to --live", where=f"--{alone[0]}",
                        fix="add --live LOG, or leave it out")  # fmt: skip
