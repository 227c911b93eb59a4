"""Open the listening socket and read the access token. Imports nothing slow."""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
from collections.abc import Sequence

from tuneworthy.handover.serve.served_models import ServedModels
from tuneworthy.handover.serve.served_versions import ServedVersion
from tuneworthy.models.local.exported import serving_commands
from tuneworthy.records.errors import TaskError


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket listening on host and port. Raises TaskError if they are taken or unknown."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(2048)
    except OSError as error:
        opened.close()
        taken = error.errno == errno.EADDRINUSE
        raise TaskError(
            "another program listens on this address" if taken else "this address can't be used",
            where=f"--host {host} --port {port}",
            got=os.strerror(error.errno) if error.errno else str(error),
            fix=f"choose another port: --port {port + 1}",
            kept="everything",
        ) from error
    return opened


def read_token(environment: str) -> str:
    """Return the token in an environment variable. Raises TaskError if it is empty or unusable."""
    token = os.environ.get(environment, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise TaskError(
            "the environment variable holds no token",
            where=f"--token-env {environment}",
            got="nothing" if not token else "characters that no header may hold",
            fix=f"export {environment}=$(openssl rand -hex 24)",
            kept="everything",
        )
    return token


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine alone."""
    return host in ("localhost", "::1") or host.startswith("127.")


_SHOWN_NAMES = 12  # the most names listed; GET /v1/models has all


def start_lines(address: str, models: ServedModels, token: str | None, env: str) -> list[str]:
    """Return the lines on the address, the served names, the token (once) and a request to try.

    `env` is the environment variable with the token ("": none); its value is not shown.
    """
    shown = "" if env or token is None else token
    lines = [f"serving at {address}/v1", ""]
    lines += [f"  {name}" for name in list(models.targets)[:_SHOWN_NAMES]]
    if (more := len(models.targets) - _SHOWN_NAMES) > 0:
        lines.append(f"  and {more} more: GET /v1/models")
    lines += [f"  {name} → {served}" for name, served in sorted(models.plain_names.items())]
    lines.append("")
    if token is None:
        lines.append("token: none is asked for; any program on this machine may ask")
    else:
        lines.append(f"token: {shown}" if shown else f"token: the value of {env}")
    name = next(iter(models.plain_names), None) or next(iter(models.targets))
    bearer = f"${env}" if env else token
    lines += ["", "try:", f"  {_curl_command(address, name, bearer)}"]
    return lines


def _curl_command(address: str, name: str, token: str | None) -> str:
    """Return a curl command that sends a chat request; `token` may be a shell variable."""
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": "Hello"}]})
    key = f' -H "Authorization: Bearer {token}"' if token else ""
    return (
        f"curl {address}/v1/chat/completions{key} -H 'Content-Type: application/json'"
        f" -d {shlex.quote(body)}"
    )


def production_lines(versions: Sequence[ServedVersion]) -> list[str]:
    """Return the commands that serve the built files with an engine for many users.

    They are for the forms that a version's folder has; an artefact without a model has none.
    """
    lines: list[str] = []
    for version in versions:
        one = version.artefact
        whole = one.pack.every == 1
        _, *others = serving_commands(
            one.model, version.home, version.folder, one.forms, whole_base=whole
        )
        lines += [f"  {version.name}", *(f"    {command}" for command in others)] if others else []
    return ["in production use an engine made for it:", *lines] if lines else []
