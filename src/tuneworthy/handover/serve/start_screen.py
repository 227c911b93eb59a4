"""The lines that `serve` prints at its start: address, names, token, commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from tuneworthy.handover.serve.served_models import ServedModels
from tuneworthy.handover.serve.served_versions import ServedVersion
from tuneworthy.models.local.serving import serving_commands

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
