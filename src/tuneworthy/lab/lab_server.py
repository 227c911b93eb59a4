"""Run the lab's HTTP server until a signal, on a socket that is already bound."""

from __future__ import annotations

import os
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from tuneworthy.core.escape import for_html
from tuneworthy.lab.app import make_app
from tuneworthy.lab.lab_folder import private_file
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.security import MOST_HEADERS
from tuneworthy.ledger import signals
from tuneworthy.serve.stoppable_server import StoppableServer
from tuneworthy.serve.timed_protocol import TimedProtocol

MOST_SOCKETS = 64
END_SECONDS = 2  # the most seconds in which streams end


def make_server(lab: Lab) -> StoppableServer:
    """Return the HTTP server of an open lab."""
    config = uvicorn.Config(
        make_app(lab), log_config=None, log_level="critical", access_log=False,
        server_header=False, lifespan="off", proxy_headers=False, ws="none", http=TimedProtocol,
        limit_concurrency=MOST_SOCKETS, timeout_graceful_shutdown=END_SECONDS,
        h11_max_incomplete_event_size=2 * MOST_HEADERS,
    )  # fmt: skip
    return StoppableServer(config, lab.end_streams)


def run_lab(lab: Lab, opened: socket.socket, started: Callable[[], None]) -> int:
    """Serve a lab until a signal and return its exit code (130 or 143)."""
    try:
        with signals.stoppable():
            started()
            make_server(lab).run(sockets=[opened])
            code = signals.requested_exit_code() or 0
    finally:
        lab.close()
        _launch_page(lab).unlink(missing_ok=True)
    return code


def open_browser(lab: Lab) -> None:
    """Open the lab in the user's browser.

    The browser gets a private file with the address: in its arguments, other users of this machine
    could read the launch token.
    """
    path, address = _launch_page(lab), for_html(lab.access.launch_url())
    refresh = f'<meta http-equiv="refresh" content="0; url={address}">'
    path.unlink(missing_ok=True)
    fd = private_file(path, os.O_EXCL)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(f'<!doctype html><meta charset="utf-8">{refresh}')
    webbrowser.open(path.as_uri())


def _launch_page(lab: Lab) -> Path:
    return lab.folder / "open.html"
