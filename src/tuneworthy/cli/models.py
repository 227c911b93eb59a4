"""List, fetch and verify models."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated, Any

import typer

from tuneworthy.cli._options import Json, print_line, print_result, print_stderr, show_json

command = typer.Typer(no_args_is_help=False, rich_markup_mode=None)


@command.callback(invoke_without_command=True)
def _list_by_default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_models(False)


@command.command("list")
def list_models(json: Json = False) -> None:
    """List the models that tuneworthy knows by name, and whether they are here.

    Example: tuneworthy models list
    """
    from tuneworthy.records.record import canonical

    rows = [model.known() for model in _modules_by_name().values()]
    if json:
        show_json(canonical([row.plain() for row in rows]))
        return
    head = ("name", "parameters", "download", "on disk", "licence", "state", "what it is")
    table = [head, *(_row_of_model(row.plain()) for row in rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(head))]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print_line("  ".join(cells).rstrip())
    print("also: hf:ORG/NAME, hf:./folder, openai:NAME[@URL], decision:[NAME@]URL, scripted:NAME")


def _row_of_model(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a listed model: parameters and bytes in millions."""
    state = "verified" if row["verified"] else "changed" if row["present"] else "not fetched"
    sizes = (f"{row['parameters'] / 1e6:,.0f} M", f"{row['download'] / 1e6:,.0f} MB",
             f"{row['bytes'] / 1e6:,.0f} MB")  # fmt: skip
    return (str(row["name"]), *sizes, str(row["licence"]), state, str(row["title"]))


Name = Annotated[str, typer.Argument(help="The model's name (see `models list`).")]


@command.command("get")
def fetch_model(name: Name = "smollm2-135m", json: Json = False) -> None:
    """Fetch a model, check its hash and make it ready; a second call finds it there.

    Example: tuneworthy models get minilm
    """
    path = _module_of_model(name).fetch(print_stderr)
    print_result(str(path), {"model": name, "path": str(path)}, json)


@command.command("verify")
def verify_model(name: Name = "smollm2-135m", json: Json = False) -> None:
    """Check the hashes of a fetched model.

    Example: tuneworthy models verify minilm
    """
    from tuneworthy.records.errors import ModelError

    if not _module_of_model(name).verify():
        raise ModelError("the model is not here, or not whole", fix=f"tuneworthy models get {name}")
    print_result(f"{name}: whole", {"model": name, "whole": True}, json)


def _modules_by_name() -> dict[str, ModuleType]:
    from tuneworthy.models.encoder import encoder as _minilm
    from tuneworthy.models.local import wheel as _embedded

    return {model.NAME: model for model in (_embedded, _minilm)}


def _module_of_model(name: str) -> ModuleType:
    from tuneworthy.records.errors import TaskError

    models = _modules_by_name()
    if name not in models:
        there = ", ".join(models)
        raise TaskError("no model to fetch has this name", got=name, fix=f"there are: {there}")
    return models[name]
