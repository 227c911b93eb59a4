"""Serve built artefacts behind an OpenAI-compatible HTTP interface, on this machine."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuneworthy.cli._options import print_line, print_stderr, share, show_json

if TYPE_CHECKING:
    from tuneworthy.handover.serve.served_models import ServedModels
    from tuneworthy.handover.serve.served_versions import ServedVersion
    from tuneworthy.handover.serve.service import Service

ALL_ANSWERS, LOG_BYTES = "100%", 100_000_000

Builds = Annotated[
    Path, typer.Argument(help="A build folder, or one with several.", show_default="build")
]
Specs = Annotated[
    list[str] | None, typer.Option(help="Serve this model too, without a build; repeatable.")
]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any.")]
_TokenEnv = Annotated[
    str, typer.Option(help="Environment variable with the token; else a new one is made.")
]
_NoToken = Annotated[bool, typer.Option("--no-token", help="Ask for no token (on loopback only).")]
_MaxTokens = Annotated[
    int, typer.Option(min=1, help="Most tokens of an answer under a :raw or model name.")
]
_MaxBody = Annotated[int, typer.Option(min=256, help="Most bytes of a request.")]
Queue = Annotated[int, typer.Option(min=1, help="Most requests of a model at a time.")]
_Connections = Annotated[int, typer.Option(min=1, help="Most open connections.")]
_Grace = Annotated[float, typer.Option(min=0, help="Seconds for open requests when it stops.")]
Log = Annotated[Path | None, typer.Option(help="Append answers to this JSONL file.")]
_LogShare = Annotated[str, typer.Option(help="Share of the answers that is logged.")]
_LogSize = Annotated[int, typer.Option(min=1024, help="Bytes at which FILE becomes FILE.1.")]
_Rollback = Annotated[
    bool, typer.Option("--rollback", help="Let NAME mean the build that it meant before.")
]
Name = Annotated[str | None, typer.Option(help="With --rollback: which NAME.")]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be served; start nothing.")
]
_DryJson = Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON.")]


def command(
    folder: Builds = Path("build"),
    model: Specs = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token_env: _TokenEnv = "",
    no_token: _NoToken = False,
    max_tokens: _MaxTokens = 1024,
    max_body: _MaxBody = 1 << 20,
    queue: Queue = 256,
    max_connections: _Connections = 512,
    grace: _Grace = 8.0,
    log: Log = None,
    log_share: _LogShare = ALL_ANSWERS,
    log_size: _LogSize = LOG_BYTES,
    rollback: _Rollback = False,
    name: Name = None,
    dry_run: _DryRun = False,
    json: _DryJson = False,
) -> None:
    """Serve builds behind an OpenAI-compatible endpoint on this machine, for trials.

    Model names: NAME is the task's last build. NAME-ID is one build and answers as the measured arm
    did; NAME-ID:raw is its local model, if it has one, without the prompt. The base model has its
    own name. For many users take vLLM, llama.cpp or Ollama; their commands are printed. Ctrl-C
    stops it.
    """
    from tuneworthy.handover.serve import served_versions

    _refuse_without("--rollback", rollback, {"--name": name is not None})
    _refuse_without("--log", log is not None, {"--log-share": log_share != ALL_ANSWERS,
                                               "--log-size": log_size != LOG_BYTES})  # fmt: skip
    specs = model or []
    versions = [] if specs and not folder.exists() else served_versions.versions_in(folder)
    if rollback:
        old, new = served_versions.rollback(folder, versions, name)
        print_line(f"rolled back: {old} → {new} (a running server follows at its next request)")
        return
    if dry_run:
        _print_dry_run(folder, versions, specs, json)
        return
    token = _make_or_read_token(host, token_env, no_token)
    _check_installed()
    from tuneworthy.handover.serve.answer_log import AnswerLog
    from tuneworthy.handover.serve.listening import is_loopback
    from tuneworthy.handover.serve.service import Service
    from tuneworthy.store.trouble import output_errors

    kept = None
    if log:
        with output_errors(log):
            kept = AnswerLog(log, share(log_share, "--log-share"), log_size)
    service = Service(token, is_loopback(host), max_body, max_tokens, log=kept, say=print_stderr)
    _serve_until_signal(service, (folder, versions, specs), (host, port), token_env,
                        (queue, max_connections, grace))  # fmt: skip


def _serve_until_signal(
    service: Service,
    what: tuple[Path, list[ServedVersion], list[str]],
    where: tuple[str, int],
    token_env: str,
    limits: tuple[int, int, float],
) -> None:
    """Open the socket, load the models, serve until a signal; exit with the signal's code."""
    from tuneworthy.handover.serve.http_server import run_server
    from tuneworthy.handover.serve.listening import listening_socket
    from tuneworthy.handover.serve.served_versions import note_current
    from tuneworthy.handover.serve.start_screen import production_lines, start_lines
    from tuneworthy.records.counting import count_noun

    folder, versions, specs = what
    opened = listening_socket(*where)
    host = f"[{where[0]}]" if ":" in where[0] else where[0]
    address = f"http://{host}:{opened.getsockname()[1]}"
    builds, models = count_noun(len(versions), "artefact"), count_noun(len(specs), "model")
    print_stderr(f"loading {builds} and {models} …")
    if versions:
        note_current(folder, versions)

    def started(models: ServedModels) -> None:
        lines = start_lines(address, models, service.token, token_env)
        print_line("\n".join([*lines, "", *production_lines(versions)]).rstrip())

    def load() -> ServedModels:
        return _load_models(folder, versions, specs, limits[0])

    code = run_server(service, opened, load, started, limits[1:])
    print_stderr("stopped; requests in flight were answered or refused")
    raise typer.Exit(code)


def _refuse_without(partner: str, given: bool, options: dict[str, bool]) -> None:
    """Raise TaskError for an option that has an effect only together with its partner."""
    from tuneworthy.records.errors import TaskError

    if not given and (alone := [name for name, used in options.items() if used]):
        raise TaskError(f"this option belongs to {partner}", where=alone[0],
                        fix=f"add {partner}, or leave it out", kept="everything")  # fmt: skip


def _make_or_read_token(host: str, environment: str, none: bool) -> str | None:
    from tuneworthy.handover.serve.listening import is_loopback, read_token
    from tuneworthy.records.errors import SecurityError, TaskError

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

    from tuneworthy.records.errors import NotInstalled

    needed = ("starlette", "uvicorn", "prometheus_client")
    if missing := [name for name in needed if find_spec(name) is None]:
        raise NotInstalled(
            "serving needs the extra `serve`",
            got=f"missing: {', '.join(missing)}",
            fix="pip install 'tuneworthy[serve]'",
        )


def _load_models(
    folder: Path, versions: list[ServedVersion], specs: list[str], most: int
) -> ServedModels:
    """Open the artefacts and models and return them; TuneworthyError for one that won't open."""
    from tuneworthy.handover.serve.served_models import Openers, ServedModels
    from tuneworthy.handover.system import open_artefact, open_base, task_of
    from tuneworthy.models import first_use, notices, open_model

    models = ServedModels(most)
    opened = [*specs, *(version.artefact.model for version in versions)]
    if notice := next(filter(None, map(first_use, filter(None, opened))), ""):
        print_stderr(notice)
    for spec in specs:
        models.add_model(spec, open_model(spec, folder=Path(), say=print_stderr))
    openers = Openers(
        lambda version, base: open_artefact(version.folder, base=base),
        lambda version: open_base(version.artefact, task_of(version.artefact, version.home)),
    )
    models.open_versions(folder, versions, openers)
    for notice in {text for t in models.targets.values() if t.model for text in notices(t.model)}:
        print_stderr(notice)
    return models


def _print_dry_run(
    folder: Path, versions: list[ServedVersion], specs: list[str], json: bool
) -> None:
    from tuneworthy.handover.serve.served_versions import current_versions
    from tuneworthy.handover.serve.start_screen import production_lines
    from tuneworthy.records.record import canonical

    meant = current_versions(folder, versions)
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
    print_line("\n".join(production_lines(versions)))
