"""Serve the commands to coding agents over the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json

Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="A loopback port for HTTP; else stdin and stdout."),
]


def command(
    folder: Annotated[
        Path, typer.Argument(help="The folder whose tasks agents may use.", show_default="here")
    ] = Path(),
    port: Port = None,
    json: Json = False,
) -> None:
    """Serve check, plan, run, status, verdict, compare and explain to coding agents (MCP).

    A run starts only with the id of its plan, goes on without the server, and spends no more than
    task.yaml allows unless a person agrees. Needs the extra `agents`.
    """
    from importlib.util import find_spec

    from tuneworthy.records.errors import NotInstalled

    del json  # the protocol is JSON
    if find_spec("mcp") is None:
        fix = "pip install 'tuneworthy[agents]'"
        raise NotInstalled("the server needs the package `mcp`", fix=fix)
    from tuneworthy.agents.mcp_server import serve

    serve(folder.resolve(), port)
