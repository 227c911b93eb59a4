"""The lab as an ASGI application: its routes behind one guard, errors as pages or JSON."""

from __future__ import annotations

import os
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from tuneworthy.handover.serve.stoppable_server import StoppableServer, TimedProtocol
from tuneworthy.lab import pages
from tuneworthy.lab.lab_folder import private_file
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.problem import Problem, problem_of
from tuneworthy.lab.routes import ROUTERS
from tuneworthy.lab.routes.page_routes import StreamIsOver, site_of
from tuneworthy.lab.security import MOST_HEADERS, Guard, wants_page
from tuneworthy.records.errors import TuneworthyError
from tuneworthy.records.escape import for_html
from tuneworthy.store import signals

# An environment variable can make newer versions of FastAPI send traces to another server.
_NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def make_app(lab: Lab) -> Guard:
    """Return the ASGI application of an open lab: its routes behind the guard."""
    return Guard(make_unguarded_app(lab), lab.access, lab.log_problem)


def make_unguarded_app(lab: Lab) -> FastAPI:
    """Return the application with all routes and error replies, without the guard."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
                  telemetry=_NO_TELEMETRY)  # fmt: skip
    app.state.lab = lab
    for router in ROUTERS:
        app.include_router(router)
    answers: dict[Any, Any] = {
        Problem: _answer_problem,
        TuneworthyError: _answer_own_error,
        RequestValidationError: _answer_wrong_fields,
        HTTPException: _answer_http_error,
        StreamIsOver: _answer_ended_stream,
        OSError: _answer_system_error,
        Exception: _answer_bug,
    }
    for kind, answer in answers.items():
        app.add_exception_handler(kind, answer)
    return app


def _problem_reply(request: Request, problem: Problem) -> Response:
    if not wants_page(request):
        return JSONResponse(problem.plain(), problem.status)
    parts = (problem.what, problem.where, problem.fix, problem.kept)
    text = pages.error_page(problem.status, *parts, site=site_of(request.app.state.lab))
    return HTMLResponse(text, problem.status)


async def _answer_problem(request: Request, error: Problem) -> Response:
    return _problem_reply(request, error)


async def _answer_own_error(request: Request, error: TuneworthyError) -> Response:
    return _problem_reply(request, problem_of(error))


async def _answer_wrong_fields(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    got = first.get("input", "")
    got = "" if isinstance(got, dict | list) else got
    problem = Problem(422, "a field of the request is wrong", where=where or "body", got=got,
                      fix=str(first["msg"]))  # fmt: skip
    return _problem_reply(request, problem)


async def _answer_http_error(request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        what, fix = "this address is asked in another way", "use the lab's own pages"
    else:
        what, fix = "the lab has no such page", "start on the first page: /"
    return _problem_reply(request, Problem(error.status_code, what, where="the address",
                                           got=request.scope["path"], fix=fix))  # fmt: skip


async def _answer_ended_stream(request: Request, error: StreamIsOver) -> Response:  # noqa: ARG001
    return Response(status_code=204)  # tells the browser not to ask again


async def _answer_system_error(request: Request, error: OSError) -> Response:
    _log_failure(request, error)
    return _problem_reply(request, Problem(
        507, "the disk refuses what the lab wants to keep", where="the lab's folder",
        got=error.strerror or "", fix="free some space or make it writable, then try again",
    ))  # fmt: skip


async def _answer_bug(request: Request, error: Exception) -> Response:
    """Reply with status 500, without the error's text, which may quote other data."""
    _log_failure(request, error)
    fix = "look at the terminal in which it runs"
    return _problem_reply(request, Problem(500, "the lab failed on this request", fix=fix))


def _log_failure(request: Request, error: Exception) -> None:
    request.app.state.lab.log_problem(f"a request failed: {type(error).__name__}: {error}")


_MOST_SOCKETS = 64
_DRAIN_SECONDS = 2  # the most seconds in which streams end


def make_server(lab: Lab) -> StoppableServer:
    """Return the HTTP server of an open lab."""
    config = uvicorn.Config(
        make_app(lab), log_config=None, log_level="critical", access_log=False,
        server_header=False, lifespan="off", proxy_headers=False, ws="none", http=TimedProtocol,
        limit_concurrency=_MOST_SOCKETS, timeout_graceful_shutdown=_DRAIN_SECONDS,
        h11_max_incomplete_event_size=2 * MOST_HEADERS,
    )  # fmt: skip
    return StoppableServer(config, lab.end_streams)


def run_lab(lab: Lab, opened: socket.socket, started: Callable[[], None]) -> int:
    """Serve a lab until a signal, close it, and return the exit code (130 or 143; else 0)."""
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
