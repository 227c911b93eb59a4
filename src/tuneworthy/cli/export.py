"""Export the built prompt, the training rows or the verdict for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tuneworthy.cli._options import Json, TaskFile, print_messages, print_result, task_path

FORMATS = (
    "The format: promptfoo, dspy, inspect (the built prompt); openai, trl (training rows);"
    " mlflow, wandb, trackio (the verdict)."
)


def command(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help=FORMATS)],
    task: TaskFile = Path("task.yaml"),
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write to.", show_default="exports/FORMAT by task.yaml"),
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(help="Training rows: those of this arm.", show_default="the verdict's"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Training rows: the model to train.", show_default="the task's"),
    ] = None,
    train_price: Annotated[
        float | None,
        typer.Option(
            min=0, help="USD for a million trained tokens.", show_default="economics.prices"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Export the built prompt, the training rows or the verdict for another tool.

    Locked rows are never exported, nothing is sent, and no file of yours is written over.
    """
    from tuneworthy.handover.exporting import ExportOptions, export

    options = ExportOptions(out=out, arm=arm, model=model, train_price=train_price)
    told = export(form, task_path(task), options, print_messages)
    print_result("\n".join(_lines(told)), told, json)


def _lines(told: dict[str, Any]) -> list[str]:
    """Return the files, then each value of the summary, and why a value is missing."""
    lines, summary = list(told["files"]), told["summary"]
    unknown = summary.get("missing", {})
    for name, value in summary.items():
        if isinstance(value, dict) and name != "missing":
            lines.append(f"{name}: {', '.join(f'{key} {one}' for key, one in value.items())}")
        elif isinstance(value, list):
            lines += [f"{name.removesuffix('s')}: {one}" for one in value]
        elif name != "missing" and (value not in (None, "") or name in unknown):
            shown = f"not known: {unknown[name]}" if value is None else value
            lines.append(f"{name.replace('_', ' ')}: {shown}")
    return lines
