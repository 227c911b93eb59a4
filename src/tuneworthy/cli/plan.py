"""Say what `run` would do: arms, requests, minutes, money, and what can be seen."""

from __future__ import annotations

from pathlib import Path

from tuneworthy.cli._options import (
    BadRows,
    Brief,
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
    brief: Brief = False,
    json: Json = False,
) -> None:
    """Say what `run` would do: arms, requests, minutes, money, and what can be seen."""
    from tuneworthy.report.terminal import plan_screen, terminal_size
    from tuneworthy.study import RunOptions, plan

    options = RunOptions(bad_rows=bad_rows, max_bad=share(max_bad), limit=limit, brief=brief)
    made = plan(task_path(task), options, print_messages)
    if json:
        show_json(made.model_dump_json(by_alias=True, indent=2))
    else:
        show(plan_screen(made, *terminal_size()))
