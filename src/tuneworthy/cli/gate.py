"""Say whether a change is safe to merge, by the answers of the old and the new system.

Exit code 3 for *worse*, 4 for *cannot say*, 2 and 5 for what `compare` refuses.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuneworthy.cli import _systems as systems
from tuneworthy.cli._options import BadRows, Json, MaxBad, share, show, show_json
from tuneworthy.records.errors import TaskError, exit_code_lines

if TYPE_CHECKING:
    from tuneworthy.flows.gating import GateRequest

EXIT_CODES = {
    0: "better, or no worse; *cannot say* under --cannot-say pass; any result of --aa",
    3: "worse: B is shown to lose, and may lose more than the margin",
    4: "cannot say",
    2: "the command line is wrong, or the metric fails",
    5: "rows or answers that can't be used",
    7: "the file of looks is damaged or can't be written",
}
EPILOG = exit_code_lines(EXIT_CODES)


def command(
    first: Annotated[str, typer.Argument(help=f"A, what runs today: {systems.SYSTEM_HELP}.")],
    second: Annotated[
        str | None, typer.Argument(help="B: the changed system.", show_default=False)
    ] = None,
    gold: systems.Gold = None,
    margin: Annotated[
        str | None,
        typer.Option(
            "--margin",
            help="The largest loss that does not matter (2% or 0.02).",
            show_default="that of --task, else 5%",
        ),
    ] = None,
    level: Annotated[
        str, typer.Option("--level", help="The error level of the interval, two-sided.")
    ] = "0.05",
    cannot_say: Annotated[
        Literal["pass", "fail"], typer.Option("--cannot-say", help="What *cannot say* does.")
    ] = "fail",
    task: Annotated[
        Path | None, typer.Option("--task", help="A task file, for its success.margin.")
    ] = None,
    looks: Annotated[
        Path | None,
        typer.Option(
            "--looks",
            help="The file that counts looks; keep it from run to run.",
            show_default=".tuneworthy-gate.json beside the right answers",
        ),
    ] = None,
    change: Annotated[
        str,
        typer.Option(
            "--change",
            help="The change that is judged (a pull request, a branch): looks count within it.",
        ),
    ] = "",
    aa: Annotated[
        bool, typer.Option("--aa", help="Compare A with itself: how often would a gate flip?")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write a comment for the pull request.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML.")] = None,
    answer_column: systems.AnswerColumn = None,
    input_column: systems.InputColumn = None,
    gold_column: systems.GoldColumn = None,
    id_column: systems.IdColumn = None,
    metric: systems.Metric = None,
    match: systems.MatchBy = None,
    copies: systems.Copies = "near",
    cases: systems.Cases = None,
    repeats: systems.Repeats = 1,
    temperature: systems.Temperature = 0.0,
    max_tokens: systems.MaxTokens = None,
    model: systems.AnsweringModel = None,
    prompt: systems.PromptFile = None,
    budget: systems.Budget = None,
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    json: Json = False,
) -> None:
    """Say whether a change is safe to merge: better, no worse, worse, or cannot say.

    B is the changed system, A the one that runs today; both answered the rows of --gold, or are
    asked them now.

    Example: tuneworthy gate old.jsonl new.jsonl --gold rows.jsonl --margin 2%
    """
    from tuneworthy.flows.comparing import CompareOptions
    from tuneworthy.flows.gating import GateRequest
    from tuneworthy.rows.table_columns import Choice
    from tuneworthy.verdict.gate_rule import GatePolicy

    if gold is None or (second is None) != aa:
        raise TaskError(
            "a gate needs two systems and the right answers", where="command line",
            got=f"{'--aa with two systems' if aa and second else first}", kept="your files",
            fix="tuneworthy gate A.jsonl B.jsonl --gold ROWS, or --aa with A.jsonl alone",
        )  # fmt: skip
    policy = GatePolicy(_margin(margin, task), share(level, "--level"), cannot_say == "pass")
    options = CompareOptions(metric, match, bad_rows, share(max_bad), copies, cases)
    named = Choice(input_column, gold_column, answer_column, id=id_column)
    how = systems.HowAsked(model, prompt, repeats, temperature, max_tokens, budget)
    compare = partial(systems.compare_named, first, second or first, gold, options, named, how)
    may_lack = options.max_bad if bad_rows == "exclude" else 0.0
    request = GateRequest(compare, gold, policy, may_lack, looks, change)
    if aa:
        return _print_flips(request, json)
    _print_gate(request, json, markdown, junit)


def _print_flips(request: GateRequest, json: bool) -> None:
    from tuneworthy.flows.gating import measure_flips
    from tuneworthy.report.gate_report import flips_json, flips_screen
    from tuneworthy.report.screen import terminal_size

    found = measure_flips(request)
    if json:
        show_json(flips_json(*found))
    else:
        show(flips_screen(*found, *terminal_size()))


def _print_gate(
    request: GateRequest, json: bool, markdown: Path | None, junit: Path | None
) -> None:
    """Run the gate, write the files that are asked for, and end in its exit code."""
    from tuneworthy.flows.gating import run_gate
    from tuneworthy.records.own_files import REPORTS, check_own, write_own
    from tuneworthy.report.gate_report import (
        COMMENT,
        gate_json,
        gate_junit,
        gate_markdown,
        gate_screen,
    )
    from tuneworthy.report.screen import terminal_size

    wanted = ((markdown, COMMENT, gate_markdown), (junit, REPORTS[".xml"], gate_junit))
    for path, kind, _ in wanted:
        if path is not None:
            check_own(path, kind)
    gate = run_gate(request)
    for path, kind, text in wanted:
        if path is not None:
            write_own(path, text(gate), kind)
    if json:
        show_json(gate_json(gate))
    else:
        show(gate_screen(gate, *terminal_size()))
    raise typer.Exit(gate.exit_code)


def _margin(text: str | None, task: Path | None) -> float:
    """Return the margin of the command line, else that of a task file, else a task's default."""
    from tuneworthy.cli._options import task_path
    from tuneworthy.records.task import Success
    from tuneworthy.rows.taskfile import read_task

    if text is not None:
        return share(text, "--margin")
    return (Success() if task is None else read_task(task_path(task)).success).margin
