"""Audit the rows, and say what they can show."""

from __future__ import annotations

from pathlib import Path

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
    json: Json = False,
) -> None:
    """Audit rows and recorded answers, and say what they can show. Nothing is sent or compared."""
    from tuneworthy.report.terminal import audit_screen, terminal_size
    from tuneworthy.study import RunOptions, check

    wishes = RunOptions(bad_rows=bad_rows, max_bad=share(max_bad), limit=limit)
    audit = check(task_path(task), wishes, print_messages)
    if json:
        show_json(audit.model_dump_json(by_alias=True, indent=2))
    else:
        show(audit_screen(audit, *terminal_size()))
