"""Write or open the report of the last study (or of the one named)."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json, show


def command(
    study: Annotated[
        Path,
        typer.Argument(help="A results folder, or a folder with task.yaml.", show_default="here"),
    ] = Path(),
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here: .html, .json, .csv or .xml.")
    ] = None,
    json: Json = False,
) -> None:
    """Write or open the report of the last study: one HTML file without outside requests."""
    from tuneworthy.report import exported
    from tuneworthy.report.json import verdict_json
    from tuneworthy.report.terminal import ladder_screen, room
    from tuneworthy.shelf import find, read

    folder = find(study)
    results = read(folder)
    target = output or folder / "report.html"
    target.write_text(exported(results, target.suffix), "utf-8")
    if json:
        print(verdict_json(results.verdict))
    else:
        show(ladder_screen(results, *room()))
        print(target)
    if open_it:
        webbrowser.open(target.resolve().as_uri())
