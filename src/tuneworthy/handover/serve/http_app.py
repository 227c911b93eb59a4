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
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tuneworthy.handover.serve.asked_jobs import STOPPING_MESSAGE, api_error_of, jobs_for
from tuneworthy.handover.serve.chat_reply import ApiError
from tuneworthy.handover.serve.chat_request import read_request
from tuneworthy.handover.serve.exchange import Exchange
from tuneworthy.handover.serve.request_body import _check_json_type, read_body
from tuneworthy.handover.serve.served_models import Target
from tuneworthy.handover.serve.service import Service
from tuneworthy.handover.serve.worker import Stopping

_CLIENT_LEFT = 499  # nginx's number for a client that left; nobody reads it


def make_app(service: Service) -> Starlette:
    """Return the ASGI application of a service, with all routes."""
    routes = [
        Route("/v1/chat/completions", _checked_endpoint(service, _answer_chat), methods=["POST"]),
        Route("/v1/models", _checked_endpoint(service, _list_models)),
        Route("/v1/models/{name:path}", _checked_endpoint(service, _show_model)),
        Route("/metrics", _checked_endpoint(service, _show_metrics)),
        Route("/health", _health_endpoint(service)),
    ]
    failures: dict[Any, Any] = {HTTPException: _unknown_url_response}
    return Starlette(routes=routes, exception_handlers=failures)


Endpoint = Callable[[Request], Awaitable[Response]]


def _checked_endpoint(
    service: Service, work: Callable[[Service, Request], Awaitable[Response]]
) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            sent = request.headers
            service.check_headers(sent.get("host", ""), sent.get("authorization", ""))
            return await work(service, request)
        except ApiError as error:
            service.counters.count_refused("", error.status)
            return _error_response(error)
        except Exception as error:  # its text may quote a request: the client gets none of it
            service.say(f"a request failed: {type(error).__name__}: {error}")
            service.counters.count_refused("", 500)
            return _error_response(ApiError(500, "The server failed on this request."))

    return endpoint


def _error_response(error: ApiError) -> Response:
    return JSONResponse(error.plain(), error.status, error.headers)


async def _unknown_url_response(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{error.detail}: {request.method} {request.url.path}"[:200]
    reply = ApiError(error.status_code, what, code="unknown_url")
    return JSONResponse(reply.plain(), error.status_code, error.headers)


def _health_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:  # noqa: ARG001
        ready = service.models is not None and not service.stopping
        state = "ok" if ready else "stopping" if service.stopping else "loading"
        return JSONResponse({"status": state}, 200 if ready else 503)

    return endpoint


async def _list_models(service: Service, request: Request) -> Response:  # noqa: ARG001
    models = service.ready_models()
    listed = [_model_entry(name, target) for name, target in models.targets.items()]
    plain = [(name, models.find(name)) for name in models.plain_names]
    listed += [_model_entry(name, target) for name, target in plain if target]
    return JSONResponse({"object": "list", "data": listed})


async def _show_model(service: Service, request: Request) -> Response:
    name = request.path_params["name"]
    return JSONResponse(_model_entry(name, _find_target(service, name)))


def _model_entry(name: str, target: Target) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": target.created, "owned_by": "tuneworthy",
            "root": target.name}  # fmt: skip


def _find_target(service: Service, name: str) -> Target:
    target = service.ready_models().find(name)
    if target is None:
        message = f"The model '{name[:64]}' does not exist; GET /v1/models lists those that do."
        raise ApiError(404, message, param="model", code="model_not_found")
    return target


async def _show_metrics(service: Service, request: Request) -> Response:  # noqa: ARG001
    workers = service.models.workers if service.models else ()
    text = service.counters.prometheus_text(
        sum(worker.in_flight for worker in workers), service.log.lost if service.log else 0
    )
    return Response(text, media_type="text/plain; version=0.0.4")


async def _answer_chat(service: Service, request: Request) -> Response:
    begun = time.perf_counter()
    service.ready_models()
    asked = read_request(await _read_json_body(service, request))
    target = _find_target(service, asked.model)
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
        raise ApiError(503, STOPPING_MESSAGE, code="stopping", retry_after=5) from None
    exchange = Exchange(service, asked, target, jobs, grown, begun)
    if not await exchange.wait(_wait_for_disconnect(request), first=asked.stream):
        return Response(status_code=_CLIENT_LEFT)
    if (error := api_error_of(jobs)) is not None:
        exchange.drop_jobs()
        raise error
    if asked.stream:
        return StreamingResponse(exchange.stream_events(), media_type="text/event-stream",
                                 headers={"Cache-Control": "no-cache"})  # fmt: skip
    return JSONResponse(exchange.full_reply())


async def _read_json_body(service: Service, request: Request) -> bytes:
    _check_json_type(request.headers.get("content-type", ""))
    return await read_body(request.stream(), service.most_body)


async def _wait_for_disconnect(request: Request) -> None:
    """Return once the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
