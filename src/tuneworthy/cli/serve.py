"""Serve built artefacts behind an OpenAI-compatible HTTP interface, on this machine."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneworthy.cli._options import print_line, print_stderr, share, show_json

if TYPE_CHECKING:
    from tuneworthy.core.artefact import System
    from tuneworthy.core.model import Model
    from tuneworthy.serve.served_models import ServedModels
    from tuneworthy.serve.served_versions import Version

Builds = Annotated[
    Path, typer.Argument(help="A build folder, or one with several.", show_default="build")
]


def command(
    folder: Builds = Path("build"),
    model: Annotated[
        list[str] | None, typer.Option(help="Serve this model too, as it is (repeat for more).")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    token_env: Annotated[
        str, typer.Option(help="Environment variable with the token; without it one is made.")
    ] = "",
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Ask for no token (on loopback only).")
    ] = False,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a raw answer.")] = 1024,
    max_body: Annotated[int, typer.Option(min=256, help="Most bytes of a request.")] = 1 << 20,
    queue: Annotated[int, typer.Option(min=1, help="Most answers in flight per model.")] = 256,
    max_connections: Annotated[int, typer.Option(min=1, help="Most open connections.")] = 512,
    grace: Annotated[float, typer.Option(min=0, help="Seconds to finish in at a stop.")] = 8.0,
    log: Annotated[Path | None, typer.Option(help="Append answers to this JSONL file.")] = None,
    log_share: Annotated[str, typer.Option(help="Share of the answers to log.")] = "100%",
    log_size: Annotated[int, typer.Option(min=1024, help="Bytes of a log file.")] = 100_000_000,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Let the plain name mean what it meant before.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="With --rollback: the plain name.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be served; open nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON.")] = False,
) -> None:
    """Serve built artefacts: an OpenAI-compatible endpoint for parity, laptops and trials.

    `<name>-<id>` answers as the measured arm did, `<name>-<id>:raw` is its model without the
    prompt, the base model has its own name. It stops at Ctrl-C or SIGTERM.
    """
    from tuneworthy.serve.served_versions import note_current, versions_in
    from tuneworthy.serve.served_versions import rollback as back

    specs = model or []
    versions = [] if specs and not folder.exists() else versions_in(folder)
    if rollback:
        old, new = back(folder, versions, name)
        print_line(f"rolled back: {old} → {new} (a running server follows at its next request)")
        return
    if dry_run:
        _dry(folder, versions, specs, json)
        return
    token = _token(host, token_env, no_token)
    _check_installed()
    from tuneworthy.serve.answer_log import AnswerLog
    from tuneworthy.serve.http_app import Service
    from tuneworthy.serve.http_server import run_server
    from tuneworthy.serve.listening import bound, is_loopback
    from tuneworthy.serve.start_screen import production_lines, start_lines

    kept = AnswerLog(log, share(log_share, "--log-share"), log_size) if log else None
    service = Service(token, is_loopback(host), max_body, max_tokens, log=kept, say=print_stderr)
    opened = bound(host, port)
    where = f"[{host}]" if ":" in host else host
    address = f"http://{where}:{opened.getsockname()[1]}"
    print_stderr(f"loading {len(versions)} artefacts and {len(specs)} models …")
    if versions:
        note_current(folder, versions)

    def started(models: ServedModels) -> None:
        lines = start_lines(address, models, token, token_env)
        print_line("\n".join([*lines, "", *production_lines(versions, folder)]).rstrip())

    limits = max_connections, grace
    code = run_server(service, opened, lambda: _load(folder, versions, specs, queue), started,
                      limits)  # fmt: skip
    print_stderr("stopped; requests in flight were answered or refused")
    raise typer.Exit(code)


def _token(host: str, environment: str, none: bool) -> str | None:
    from tuneworthy.core.errors import SecurityError, TaskError
    from tuneworthy.serve.listening import is_loopback, read_token

    if none and environment:
        raise TaskError("--no-token and --token-env contradict each other", where="command line",
                        fix="leave one of them out", kept="everything")  # fmt: skip
    if none and not is_loopback(host):
        raise SecurityError(
            "without a token everybody on the network could ask this model",
            where=f"--host {host} --no-token",
            fix="leave --no-token out, or serve on 127.0.0.1",
            kept="everything",
        )
    if none:
        return None
    return read_token(environment) if environment else secrets.token_urlsafe(24)


def _check_installed() -> None:
    from importlib.util import find_spec

    from tuneworthy.core.errors import NotInstalled

    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise NotInstalled(
            "serving needs the extra `serve`",
            got=f"missing: {', '.join(missing)}",
            fix="pip install 'tuneworthy[serve]'",
        )


def _load(folder: Path, versions: list[Version], specs: list[str], most: int) -> Any:
    """Open everything; raises TuneworthyError for the first that can't be opened."""
    from tuneworthy.serve.served_models import Openers, ServedModels

    models = ServedModels(most)
    for spec in specs:
        models.add_model(spec, _model(spec, Path()))
    models.open_versions(folder, versions, Openers(_system, _model))
    return models


def _model(spec: str, folder: Path) -> Model:
    from tuneworthy.models import open_model

    return open_model(spec, folder=folder)


def _system(folder: Path) -> System:
    raise NotImplementedError(folder)


def _dry(folder: Path, versions: list[Version], specs: list[str], json: bool) -> None:
    from tuneworthy.core.record import canonical
    from tuneworthy.serve.served_versions import current
    from tuneworthy.serve.start_screen import production_lines

    meant = current(folder, versions)
    if json:
        show_json(
            canonical({"current": meant, "models": specs, "served": [v.name for v in versions]})
        )
        return
    for version in versions:
        mark = "current" if meant[version.artefact.name] == version.name else ""
        one = version.artefact
        print_line(f"{version.name}  {one.arm} on {one.model or 'no model'}  {mark}".rstrip())
    for spec in specs:
        print_line(f"{spec}  as it is")
    print_line("\n".join(production_lines(versions, folder)))
