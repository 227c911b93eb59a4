"""Run the study, or continue it, and give the verdict."""

from __future__ import annotations

import sys
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
    minutes,
    print_stderr,
    progress_view,
    share,
    show,
    show_json,
    task_path,
)
from tuneworthy.records.errors import exit_code_lines

EXIT_CODES = {
    0: "a verdict: the target is met, or none is set",
    1: "the run failed, or a bug of ours",
    2: "the command line or task.yaml is wrong",
    3: "a verdict: the target is missed, or not shown to be met",
    4: "a verdict: blocked, or provisional under --require-firm",
    5: "rows are refused",
    6: "a cap on money or tokens is reached; a second call continues",
    7: "the store (.tuneworthy/) is busy, full, damaged or cannot be written",
    130: "stopped by Ctrl-C, with a verdict on what was measured; a second call continues",
    141: "the reader of the output closed it",
    143: "stopped by SIGTERM or SIGHUP; a second call continues",
}
EPILOG = exit_code_lines(EXIT_CODES)

if TYPE_CHECKING:
    from tuneworthy.explain.two_studies import Repetition
    from tuneworthy.flows.study import Study
    from tuneworthy.records.run import RunOptions


WHERE = "Where arms run: local, ray, auto, HOST:PORT or ray://HOST:PORT."
On = Annotated[str | None, typer.Option("--on", help=WHERE)]
_Unlock = Annotated[
    bool,
    typer.Option("--unlock", help="Score only the rows that data.locked hides; a look at them."),
]
Again = Annotated[
    bool,
    typer.Option(
        "--again", help="After a change of model or rows: compare with the last verdict too."
    ),
]
_DRY = "Show the plan, its costs and which look it would be; spend nothing."
_Dry = Annotated[bool, typer.Option("--dry-run", "--dry", help=_DRY)]


def command(
    task: TaskFile = Path("task.yaml"),
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    limit: Limit = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure everything again; nothing is deleted.")
    ] = False,
    require_firm: Annotated[
        bool, typer.Option("--require-firm", help="Exit with 4 where the verdict is provisional.")
    ] = False,
    pay: Annotated[
        bool,
        typer.Option("--pay", help="Allow a paid model without a cap, and a trainer's command."),
    ] = False,
    brief: Brief = False,
    cap: Minutes = None,
    more: Annotated[
        str | None, typer.Option("--more", help="Add this much time to the study (10m, 1h).")
    ] = None,
    unlock: _Unlock = False,
    again: Again = False,
    dry: _Dry = False,
    on: On = None,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Show no live view.")] = False,
    json: Json = False,
) -> int:
    """Run the study, or continue it where it stopped, and give the verdict.

    A study that scores rows is a look at them; each further look at the same rows widens the
    bounds. --again compares the two verdicts on the cases that both studies answered.
    """
    from tuneworthy.flows.study import run as run_study
    from tuneworthy.flows.study import run_again
    from tuneworthy.records.run import RunOptions
    from tuneworthy.store.signals import StopRequested, stoppable
    from tuneworthy.verdict.decide import exit_code

    options = RunOptions(bad_rows, share(max_bad), limit, fresh=fresh, pay=pay, brief=brief, on=on,
                        unlock=unlock, more=None if more is None else minutes(more),
                        minutes=None if cap is None else minutes(cap, "--minutes"))  # fmt: skip
    if dry:
        return _print_dry_run(task_path(task), options, json)
    repeated, goes_on = None, _goes_on(options, cap, again)
    with stoppable(), progress_view(no_progress or (json and sys.stderr.isatty())) as watch:
        try:
            if again:
                study, repeated = run_again(task_path(task), options, watch)
            else:
                study = run_study(task_path(task), options, watch)
        except StopRequested as stop:
            raise StopRequested(stop.exit_code, goes_on) from None
    _print_study(study, repeated, json)
    if study.stopped:
        print_stderr(StopRequested(study.stopped.exit_code, goes_on))
        return study.stopped.exit_code
    return exit_code(study.verdict, require_firm)


def _goes_on(options: RunOptions, cap: str | None, again: bool) -> str:
    """Return the command that goes on with a stopped run: other options are another study."""
    said = {f"--limit {options.limit}": options.limit, f"--minutes {cap}": cap,
            "--bad-rows exclude": options.bad_rows == "exclude", "--brief": options.brief,
            "--unlock": options.unlock, "--again": again}  # fmt: skip
    return " ".join(["tuneworthy run", *(word for word, given in said.items() if given)])


def _print_dry_run(path: Path, options: RunOptions, json: bool) -> int:
    """Print what the run would cost and which look at its rows it would be; spend nothing."""
    from tuneworthy.cli._options import print_messages
    from tuneworthy.flows.study import plan
    from tuneworthy.report.plans import plan_json, plan_screen
    from tuneworthy.report.screen import terminal_size

    made = plan(path, options, print_messages)
    if json:
        show_json(plan_json(made, path))
        return 0
    show(plan_screen(made, *terminal_size()))
    look = "a first look" if made.looks < 2 else f"look {made.looks}"
    print_stderr(f"dry run: nothing was asked or spent; a run would be {look} at the rows")
    return 0


def _print_study(study: Study, repeated: Repetition | None, json: bool) -> None:
    from tuneworthy.report.comparisons import repeated_screen
    from tuneworthy.report.exports import repeated_json, verdict_json
    from tuneworthy.report.fact_lines import note_lines
    from tuneworthy.report.screen import terminal_size
    from tuneworthy.report.terminal import ladder_screen

    if json:
        show_json(repeated_json(repeated) if repeated else verdict_json(study.verdict))
        for line in note_lines(study.results):
            print_stderr(f"note: {line}")
        return
    show(ladder_screen(study.results, *terminal_size()))
    if repeated:
        show(repeated_screen(repeated, *terminal_size()))
    print_stderr(f"\nreport: {study.folder / 'report.html'}")
    if served := study.serving():
        print_stderr(f"serve:  {served}")
