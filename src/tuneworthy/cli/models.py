"""List, fetch and verify models."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tuneworthy.cli._options import Json

command = typer.Typer(no_args_is_help=False, rich_markup_mode=None)


@command.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        listed(False)


@command.command("list")
def listed(json: Json = False) -> None:
    """List the models that tuneworthy knows by name, and whether they are here."""
    import json as js

    from tuneworthy.models._embedded import catalogue

    rows = catalogue()
    if json:
        print(js.dumps(rows, indent=2))
        return
    for row in rows:
        print("  ".join(str(value) for value in row.values()))
    print("  also: hf:ORG/NAME, hf:./folder, openai:NAME[@URL]")


@command.command("get")
def get(name: Annotated[str, typer.Argument(help="The model's name.")]) -> None:
    """Fetch a model, check its hash and make it ready; a second call finds it there."""
    from tuneworthy.models._embedded import fetch

    print(fetch(lambda text: print(text, file=sys.stderr), name))


@command.command("verify")
def verify(name: Annotated[str, typer.Argument(help="The model's name.")]) -> None:
    """Check the hash of a fetched model."""
    from tuneworthy.models._embedded import verify as verified

    print(verified(name))
