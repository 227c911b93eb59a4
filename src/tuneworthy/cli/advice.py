"""Score advisers (rules, checklists, models, people) on tasks whose winner was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json, print_line, print_stderr, show, show_json

EPILOG = (
    "Exit codes: 0 a table was printed; 2 the command line is wrong, or an endpoint has no cap;"
    " 4 nothing to judge: there is no measured task; 5 a file of tasks or answers can't be used;"
    " 6 the cap is reached (a second call continues)."
)
EXIT_NOTHING = 4


def command(
    tasks: Annotated[
        Path | None,
        typer.Option("--tasks", help="Measured tasks, JSON lines (else those of the atlas)."),
    ] = None,
    answers: Annotated[
        Path, typer.Option("--answers", help="Recorded answers; --ask adds to this file.")
    ] = Path("advice.jsonl"),
    ask: Annotated[
        str | None, typer.Option("--ask", help="Ask this model about every task, then score it.")
    ] = None,
    with_skill: Annotated[
        bool, typer.Option("--with-skill", help="With --ask: send our guide to choosing a tool.")
    ] = False,
    usd: Annotated[
        float | None, typer.Option("--usd", min=0, help="With --ask: the most dollars to spend.")
    ] = None,
    pay: Annotated[
        bool, typer.Option("--pay", help="With --ask: allow an endpoint without a cap.")
    ] = False,
    json: Json = False,
) -> None:
    """Show who predicts the winning tool, and how many points are lost by following the advice.

    The tasks are those whose winner was measured. Advisers are rules of thumb, the five-question
    checklist, the program `soup advise`, and everybody whose answers the file of --answers holds.
    --ask MODEL asks a language model about each task that it has not answered yet.
    """
    from tuneworthy.advising import AskOptions, advice_table, advisers_of, measured_tasks
    from tuneworthy.advising import ask_for_advice as ask_about
    from tuneworthy.core.record import canonical
    from tuneworthy.report.terminal import advice_json, advice_screen, no_advice, terminal_size

    _refuse_alone(ask, with_skill=with_skill, usd=usd is not None, pay=pay)
    measured = measured_tasks(tasks)
    if not measured:
        print_line(canonical(no_advice()) if json else "\n".join(no_advice().values()))
        raise typer.Exit(EXIT_NOTHING)
    if ask is not None:
        done = ask_about(AskOptions(ask, with_skill, usd, pay), measured, answers, print_stderr)
        print_stderr(f"{done} asked now; answers are kept in {answers}")
    table = advice_table(measured, advisers_of(measured, answers, run_programs=True))
    if json:
        show_json(canonical(advice_json(table)))
    else:
        show(advice_screen(table, *terminal_size()))


def _refuse_alone(ask: str | None, **given: bool) -> None:
    """Raise TaskError for a given option that has an effect only together with --ask."""
    from tuneworthy.core.errors import TaskError

    if ask is None and (alone := [name for name, value in given.items() if value]):
        raise TaskError("this option belongs to --ask", where=f"--{alone[0].replace('_', '-')}",
                        fix="add --ask MODEL, or leave it out", kept="everything")  # fmt: skip
