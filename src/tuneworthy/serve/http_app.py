"""The HTTP interface: routes, the token, limits, streaming. The only file that knows Starlette."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tuneworthy.serve.api_error import ApiError
from tuneworthy.serve.asked_jobs import STOPPING, error_of, jobs_for
from tuneworthy.serve.chat_request import read_request
from tuneworthy.serve.exchange import Exchange
from tuneworthy.serve.request_body import check_json_type, read_body
from tuneworthy.serve.served_models import Target
from tuneworthy.serve.service import Service
from tuneworthy.serve.worker import Stopping

_CLIENT_LEFT = 499  # nginx's number for a client that left; nobody reads it


def make_app(service: Service) -> Starlette:
    """Return the ASGI application."""
    routes = [
        Route("/v1/chat/completions", _guarded(service, _chat), methods=["POST"]),
        Route("/v1/models", _guarded(service, _models)),
        Route("/v1/models/{name:path}", _guarded(service, _model)),
        Route("/metrics", _guarded(service, _metrics)),
        Route("/health", _health(service)),
    ]
    failures: dict[Any, Any] = {HTTPException: _http_error}
    return Starlette(routes=routes, exception_handlers=failures)


Endpoint = Callable[[Request], Awaitable[Response]]


def _guarded(service: Service, work: Callable[[Service, Request], Awaitable[Response]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            sent = request.headers
            service.check(sent.get("host", ""), sent.get("authorization", ""))
            return await work(service, request)
        except ApiError as error:
            service.counters.refused("", error.status)
            return _reply(error)
        except Exception as error:  # its text may quote a request: the client gets none of it
            service.say(f"a request failed: {type(error).__name__}: {error}")
            service.counters.refused("", 500)
            return _reply(ApiError(500, "The server failed on this request."))

    return endpoint


def _reply(error: ApiError) -> Response:
    return JSONResponse(error.plain(), error.status, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{error.detail}: {request.method} {request.url.path}"[:200]
    reply = ApiError(error.status_code, what, code="unknown_url")
    return JSONResponse(reply.plain(), error.status_code, error.headers)


def _health(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:  # noqa: ARG001
        ready = service.models is not None and not service.stopping
        state = "ok" if ready else "stopping" if service.stopping else "loading"
        return JSONResponse({"status": state}, 200 if ready else 503)

    return endpoint


async def _models(service: Service, request: Request) -> Response:  # noqa: ARG001
    models = service.ready()
    listed = [_listed(name, target) for name, target in models.targets.items()]
    plain = [(name, models.find(name)) for name in models.plain]
    listed += [_listed(name, target) for name, target in plain if target]
    return JSONResponse({"object": "list", "data": listed})


async def _model(service: Service, request: Request) -> Response:
    name = request.path_params["name"]
    return JSONResponse(_listed(name, _found(service, name)))


def _listed(name: str, target: Target) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": target.created, "owned_by": "tuneworthy",
            "root": target.name}  # fmt: skip


def _found(service: Service, name: str) -> Target:
    target = service.ready().find(name)
    if target is None:
        message = f"The model '{name[:64]}' does not exist; GET /v1/models lists those that do."
        raise ApiError(404, message, param="model", code="model_not_found")
    return target


async def _metrics(service: Service, request: Request) -> Response:  # noqa: ARG001
    workers = service.models.workers if service.models else ()
    gauges = {"in_flight": sum(worker.in_flight for worker in workers)}
    if service.log:
        gauges["log_lines_lost"] = service.log.lost
    return PlainTextResponse(service.counters.text(gauges), media_type="text/plain; version=0.0.4")


async def _chat(service: Service, request: Request) -> Response:
    begun = time.perf_counter()
    service.ready()
    asked = read_request(await _body(service, request))
    target = _found(service, asked.model)
    loop, grown = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:  # called from the worker's thread
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(grown.set)

    jobs = jobs_for(asked, target, service.most_tokens, wake)
    try:
        if not target.worker.submit(jobs):
            later = service.retry_after(target.worker.in_flight)
            raise ApiError(429, "Too many requests wait; ask again later.", retry_after=later,
                           code="queue_full")  # fmt: skip
    except Stopping:
        raise ApiError(503, STOPPING, code="stopping", retry_after=5) from None
    exchange = Exchange(service, asked, target, jobs, grown, begun)
    if not await exchange.wait(_left(request), first=asked.stream):
        return Response(status_code=_CLIENT_LEFT)
    if (error := error_of(jobs)) is not None:
        exchange.drop()
        raise error
    if asked.stream:
        return StreamingResponse(exchange.events(), media_type="text/event-stream",
                                 headers={"Cache-Control": "no-cache"})  # fmt: skip
    return JSONResponse(exchange.whole())


async def _body(service: Service, request: Request) -> bytes:
    check_json_type(request.headers.get("content-type", ""))
    return await read_body(request.stream(), service.most_body)


async def _left(request: Request) -> None:
    """Return once the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
