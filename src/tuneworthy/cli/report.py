"""Write or open the report of the last study (or of the one named)."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json, print_line, print_stderr, show, show_json


def command(
    study: Annotated[
        Path,
        typer.Argument(help="A results folder, or a folder with task.yaml.", show_default="here"),
    ] = Path(),
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file to write: .html, .json, .csv or .xml (JUnit)."
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--recompute", help="Compute the verdict again and compare; write nothing."),
    ] = False,
    json: Json = False,
) -> int:
    """Write the report of the last study: one HTML file that loads nothing from the network.

    Exit code 7: the results are not those of the store (.tuneworthy/). With --recompute nothing is
    written: the store is checked, and comparison, questions and verdict are computed again from its
    answers and scores, without a model. Exit code 1: something differs other than the
    wording of sentences, which another build may have written.
    """
    from tuneworthy.report.exports import export_text, verdict_json
    from tuneworthy.report.results_folder import open_study
    from tuneworthy.report.screen import terminal_size
    from tuneworthy.report.terminal import ladder_screen

    if again:
        return _print_recomputed(study, json)
    opened = open_study(study)
    results = opened.results
    if opened.uncompared:
        print_stderr(opened.uncompared)
    target = output or opened.folder / "report.html"
    written = _write_report(target, export_text(results, target.suffix), asked=output is not None)
    if json:
        show_json(verdict_json(results.verdict))
    else:
        show(ladder_screen(results, *terminal_size()))
        if written:
            print_line(target)
    if open_it and target.exists():
        webbrowser.open(target.resolve().as_uri())
    return 0


def _write_report(target: Path, text: str, *, asked: bool) -> bool:
    """Write the report to `target`, where no other file may stand; return whether that worked.

    Raises an error only if `asked` (the user named the file); else a failure is just printed.
    """
    from tuneworthy.records.errors import StoreError, TaskError
    from tuneworthy.records.own_files import REPORTS, write_own
    from tuneworthy.store.trouble import output_errors

    try:
        with output_errors(target):
            write_own(target, text, REPORTS[target.suffix])
    except (StoreError, TaskError) as error:
        if asked:
            raise
        print_stderr(f"{target} could not be written: {error.what}; {error.fix}")
        return False
    return True


def _print_recomputed(study: Path, json: bool) -> int:
    """Recompute a study, print the result and return the exit code."""
    from tuneworthy.report.comparisons import recompute_screen
    from tuneworthy.report.results_folder import find_results, recompute
    from tuneworthy.report.screen import terminal_size

    result = recompute(find_results(study))
    if json:
        from json import dumps

        body = {"evidence_hash": result.hash, "scored": result.rescored,
                "same": not result.differs and not result.wording, "taken": result.not_recomputed,
                "differs": result.differs, "wording": result.wording}  # fmt: skip
        show_json(dumps(body, indent=2))
    else:
        show(recompute_screen(result, *terminal_size()))
    return 1 if result.differs else 0
