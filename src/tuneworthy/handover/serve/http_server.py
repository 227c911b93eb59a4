"""Run the HTTP server until a signal: load the models, answer, let requests end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import uvicorn

from tuneworthy.handover.serve.http_app import make_app
from tuneworthy.handover.serve.served_models import ServedModels
from tuneworthy.handover.serve.service import Service
from tuneworthy.handover.serve.stoppable_server import StoppableServer, TimedProtocol
from tuneworthy.store import signals

_LAST_SECONDS = 2  # from the error replies to unanswered requests until the server ends


def server_config(service: Service, connections: int, grace: float) -> uvicorn.Config:
    """Return the server's settings: limits of connections, of headers and of time."""
    return uvicorn.Config(
        make_app(service), log_config=None, access_log=False, server_header=False, lifespan="off",
        proxy_headers=False, ws="none", http=TimedProtocol, limit_concurrency=connections,
        timeout_graceful_shutdown=int(grace) + _LAST_SECONDS,
    )  # fmt: skip


def run_server(
    service: Service,
    opened: socket.socket,
    load: Callable[[], ServedModels],
    started: Callable[[ServedModels], None],
    limits: tuple[int, float],
) -> int:
    """Serve on the open socket until a signal; return the signal's exit code (130 or 143).

    `limits`: the most connections, and the seconds that requests in flight get to end. While
    `load` runs, requests get 503. Raises what `load` raises.
    """
    connections, grace = limits
    failed: list[BaseException] = []
    config = server_config(service, connections, grace)
    server = StoppableServer(config, lambda: _begin_to_stop(service, grace))

    def loading() -> None:
        try:
            service.models = load()
            started(service.models)
        except BaseException as error:
            failed.append(error)
            server.should_exit = True

    with signals.stoppable():
        thread = threading.Thread(target=loading, name="loading", daemon=True)
        thread.start()
        server.run(sockets=[opened])
        code = signals.requested_exit_code() or 0
    if service.models is not None:
        service.models.stop()
        for worker in service.models.workers:
            worker.join(timeout=_LAST_SECONDS)
    if failed:
        raise failed[0]
    return code


def _begin_to_stop(service: Service, grace: float) -> None:
    def end_requests() -> None:
        if service.models is not None:
            service.models.stop()

    service.stopping = True
    late = threading.Timer(grace, end_requests)
    late.daemon = True
    late.start()
