"""Show what `run` would do: arms, requests, minutes, money, how small a gain it can show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuneworthy.cli._options import (
    BadRows,
    Brief,
    Json,
    Limit,
    MaxBad,
    Minutes,
    TaskFile,
    messages_view,
    minutes,
    print_line,
    share,
    show,
    show_json,
    task_path,
)

if TYPE_CHECKING:
    from tuneworthy.records.run import RunOptions


def command(
    task: TaskFile = Path("task.yaml"),
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    limit: Limit = None,
    brief: Brief = False,
    cap: Minutes = None,
    show_prompts: Annotated[
        bool, typer.Option("--show-prompts", help="Print each arm's first prompt; send nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what `run` would do: arms, requests, minutes, money, how small a gain it can show."""
    from tuneworthy.flows.study import plan
    from tuneworthy.records.run import RunOptions
    from tuneworthy.report.plans import plan_json, plan_screen, repeats_lines
    from tuneworthy.report.screen import terminal_size

    options = RunOptions(bad_rows=bad_rows, max_bad=share(max_bad), limit=limit, brief=brief,
                         minutes=None if cap is None else minutes(cap, "--minutes"))  # fmt: skip
    if show_prompts:
        return _print_prompts(task_path(task), options, json)
    with messages_view() as watch:
        made = plan(task_path(task), options, watch)
    if json:
        show_json(plan_json(made, task_path(task)))
    else:
        show(plan_screen(made, *terminal_size()))
        for line in repeats_lines(task_path(task)):
            print_line(line)


def _print_prompts(path: Path, options: RunOptions, json: bool) -> None:
    """Print the first prompt of every arm, as it would be sent."""
    from json import dumps

    from tuneworthy.flows.prompt_preview import first_prompts
    from tuneworthy.report.plans import prompts_screen
    from tuneworthy.report.screen import terminal_size

    found = first_prompts(path, options)
    if not json:
        return show(prompts_screen(found, *terminal_size()))
    body = [
        {
            "arm": one.arm,
            "model": one.model or None,
            "note": one.note,
            "messages": [message.plain() for message in one.messages],
        }
        for one in found
    ]
    show_json(dumps(body, indent=2))
