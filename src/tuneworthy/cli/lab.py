"""Open the lab: break real training runs in the browser, find the cause, repair it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json, print_result, print_stderr

Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="Port to listen on; 0: any.", show_default="the last one used"
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
_NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Only print the address.")]
Export = Annotated[
    Path | None, typer.Option(help="Write the recorded lab as a static site to this folder.")
]
Check = Annotated[
    list[Path] | None,
    typer.Option("--check", help="A training folder of yours for the page Check my run."),
]
Data = Annotated[
    Path | None, typer.Option("--data", help="With --check: the rows that the runs trained on.")
]
Test = Annotated[
    Path | None, typer.Option("--test", help="With --check: rows to score the models on.")
]
Base = Annotated[
    Path | None, typer.Option("--base", help="With --check: the folder of the base model.")
]


def command(
    port: Port = None,
    host: Host = "127.0.0.1",
    no_browser: _NoBrowser = False,
    check: Check = None,
    data: Data = None,
    test: Test = None,
    base: Base = None,
    export: Export = None,
    json: Json = False,
) -> None:
    """Open the lab: break real training runs, see why, repair them.

    It runs in the browser, on this machine alone, and stores its runs in .tuneworthy/lab/. The
    printed address opens it, again and again from this machine while it runs. Ctrl-C ends it; what
    was measured is kept. --check FOLDER (repeatable) looks for the same faults in your own runs.
    """
    _refuse_beside_export(export, check=check, data=data, test=test, base=base)
    if export is not None:
        return _export_lab(export, json)
    _check_installed()
    _check_host(host)
    from tuneworthy.lab.app import open_browser, run_lab
    from tuneworthy.lab.open_lab import holder_of, open_lab
    from tuneworthy.lab.own_folders import own_folders

    working, own = Path.cwd(), own_folders(check or (), data, test, base)
    opened = _open_socket(working, host, port)
    try:
        lab = open_lab(working, (host, opened.getsockname()[1]), say=print_stderr, own=own)
    except BaseException:
        opened.close()
        raise
    if lab.jobs is None:
        print_stderr(f"another lab has this folder ({holder_of(lab.folder)}): this one only reads")

    def started() -> None:
        url = lab.access.launch_url()
        how = "open the address as often as you like; Ctrl-C ends the lab"
        print_result(f"lab at {url}\n{how}", {"lab": url}, json)
        if not no_browser:
            open_browser(lab)

    raise typer.Exit(run_lab(lab, opened, started))


def _refuse_beside_export(export: Path | None, **given: object) -> None:
    """Raise TaskError for folders to check beside --export: a site of files checks nothing."""
    from tuneworthy.records.errors import TaskError

    named = [name for name, value in given.items() if value]
    if export is not None and named:
        raise TaskError("an exported lab checks no folder", where=f"--{named[0]}",
                        fix="leave --export out, or use `tuneworthy check --run`",
                        kept="")  # fmt: skip


def _export_lab(folder: Path, json: bool) -> None:
    from tuneworthy.lab.export import export_site
    from tuneworthy.store.trouble import output_errors

    with output_errors(folder):
        export_site(folder)
    page = str(folder / "index.html")
    print_result(f"the recorded lab: {page}", {"lab": page}, json)


def _open_socket(working: Path, host: str, port: int | None) -> socket.socket:
    """Return a listening socket: on the port asked for, that of the last lab here, or any."""
    from tuneworthy.handover.serve.listening import listening_socket
    from tuneworthy.lab.security import last_access
    from tuneworthy.records.errors import TaskError

    if port is not None:
        return listening_socket(host, port)
    kept = last_access(working / ".tuneworthy" / "lab")
    try:
        return listening_socket(host, kept.port if kept else 0)
    except TaskError:
        if kept is None:
            raise
        return listening_socket(host, 0)


def _check_host(host: str) -> None:
    from tuneworthy.handover.serve.listening import is_loopback
    from tuneworthy.records.errors import SecurityError

    if is_loopback(host):
        return
    if host in ("0.0.0.0", "::", ""):
        raise SecurityError(
            "the lab does not listen on all addresses",
            where=f"--host {host}",
            fix="name one address of this machine, or use the default and an SSH tunnel",
            kept="everything",
        )
    print_stderr(
        f"warning: other machines can reach the lab at {host}, and what is sent is not encrypted"
    )


def _check_installed() -> None:
    from importlib.util import find_spec

    from tuneworthy.records.errors import NotInstalled

    if missing := [name for name in ("fastapi", "uvicorn", "jinja2") if find_spec(name) is None]:
        raise NotInstalled(
            "the lab needs the extra `lab`",
            got=f"missing: {', '.join(missing)}",
            fix="pip install 'tuneworthy[lab,train]'",
            kept="everything",
        )
