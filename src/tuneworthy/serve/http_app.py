"""The HTTP interface: routes, the token, limits, streaming. The only file that knows Starlette."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tuneworthy.core.answer import Answer
from tuneworthy.serve.answer_log import AnswerLog
from tuneworthy.serve.api_error import ApiError
from tuneworthy.serve.asked_jobs import STOPPING, error_of, jobs_for
from tuneworthy.serve.chat_reply import DONE, Envelope, Logprobs, chunk, completion, delta, usage
from tuneworthy.serve.chat_reply import event as sse
from tuneworthy.serve.chat_request import ChatRequest, read_request
from tuneworthy.serve.logprob_entries import logprob_entries
from tuneworthy.serve.request_counters import RequestCounters
from tuneworthy.serve.served_models import ServedModels, Target
from tuneworthy.serve.worker import Job, Stopping

BODY_SECONDS = 30.0  # a body that arrives more slowly is refused
DISCARD, DISCARD_SECONDS = 4, 1.0  # of a body that is too large: times its limit, seconds
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_GONE = 499  # nginx's number for a client that left; nobody reads it


@dataclass
class Service:
    """What all requests share. `models` is None while they load. `token` None: none is asked for.

    `local`: bound to loopback, so a request must name a loopback host (a web page whose name
    resolves to this machine does not).
    """

    token: str | None
    local: bool = True
    most_body: int = 1 << 20
    most_tokens: int = 1024
    models: ServedModels | None = None
    log: AnswerLog | None = None
    stopping: bool = False
    say: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        self.counters = RequestCounters()

    def ready(self) -> ServedModels:
        """Return the models. Raises ApiError (503) while they load and once the server stops."""
        if self.stopping:
            raise ApiError(503, STOPPING, code="stopping", retry_after=5)
        if self.models is None:
            raise ApiError(503, "The models are loading.", code="loading", retry_after=2)
        return self.models

    def check(self, request: Request) -> None:
        """Raise ApiError for a wrong host (400) or token (401)."""
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        if self.local and host not in _LOOPBACK:
            raise ApiError(400, "This server answers to a loopback host name only.")
        if self.token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = secrets.compare_digest(given.strip().encode(), self.token.encode())
        if scheme.lower() != "bearer" or not same:
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")

    def retry_after(self, in_flight: int) -> int:
        """Return the seconds after which a place in the queue is likely to be free."""
        each = (self.counters.mean_seconds or 1.0) / max(1, min(in_flight, 32))
        return max(1, min(60, round(8 * each)))


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
            service.check(request)
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
    exchange = _Exchange(service, asked, target, jobs, grown, begun)
    if not await exchange.wait(request, first=asked.stream):
        return Response(status_code=_GONE)
    if (error := error_of(jobs)) is not None:
        exchange.drop()
        raise error
    if asked.stream:
        return StreamingResponse(exchange.events(), media_type="text/event-stream",
                                 headers={"Cache-Control": "no-cache"})  # fmt: skip
    return JSONResponse(exchange.whole())


async def _body(service: Service, request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ApiError(415, "The body must be sent as application/json.", code="invalid_json")
    parts, size, most = [], 0, service.most_body
    try:
        async with asyncio.timeout(BODY_SECONDS) as limit:
            async for part in request.stream():
                size += len(part)
                if size <= most:
                    parts.append(part)
                    continue
                parts = []  # read on for a moment: a client that is still sending hears no reply
                limit.reschedule(asyncio.get_running_loop().time() + DISCARD_SECONDS)
                if size > DISCARD * most:
                    break
    except TimeoutError:
        if size <= most:
            raise ApiError(408, "The body did not arrive in time.", code="timeout") from None
    if size > most:
        raise ApiError(413, f"The body has more than {most} bytes.", code="body_too_large")
    return b"".join(parts)


class _Exchange:
    """One request and its reply."""

    def __init__(
        self,
        service: Service,
        asked: ChatRequest,
        target: Target,
        jobs: Sequence[Job],
        grown: asyncio.Event,
        begun: float,
    ) -> None:
        self._service, self._asked, self._target, self._jobs = service, asked, target, jobs
        self._grown, self._begun = grown, begun
        self._envelope = Envelope(
            f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), target.name, target.fingerprint
        )

    async def wait(self, request: Request, *, first: bool) -> bool:
        """Wait for all answers (`first`: for any text); return False if the client has left."""
        gone = asyncio.create_task(_left(request))
        try:
            while not self._over(first):
                grown = asyncio.create_task(self._grown.wait())
                done, _ = await asyncio.wait({gone, grown}, return_when=asyncio.FIRST_COMPLETED)
                self._grown.clear()
                grown.cancel()
                if gone in done and not self._over(first):
                    self.drop()
                    self._service.counters.cancelled()
                    return False
            return True
        except asyncio.CancelledError:
            self.drop()
            raise
        finally:
            gone.cancel()

    def _over(self, first: bool) -> bool:
        failed = any(job.error is not None for job in self._jobs)
        some = first and any(job.text for job in self._jobs)
        return failed or some or all(job.ended for job in self._jobs)

    def drop(self) -> None:
        """Free the places of all jobs."""
        for job in self._jobs:
            job.dropped = True

    def whole(self) -> dict[str, Any]:
        """Return the reply to a request that does not stream, and count it."""
        answers = self._counted()
        logs: list[Logprobs | None] = [self._logs(job, 0) for job in self._jobs]
        logs += logs[:1] * (len(answers) - len(logs))
        return completion(self._envelope, answers, logs)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield the server-sent events of a streamed reply."""
        count = self._asked.n if len(self._jobs) == 1 else 1
        shown, ended = [0] * len(self._jobs), [False] * len(self._jobs)
        more: dict[str, Any] = {"usage": None} if self._asked.include_usage else {}
        try:
            firsts = [delta(at, "", first=True) for at in range(len(self._jobs) * count)]
            yield chunk(self._envelope, firsts, **more)
            while not all(ended):
                for at, job in enumerate(self._jobs):
                    over, text = job.ended, job.text  # in this order: the end writes the text first
                    if job.error is not None:
                        raise error_of([job]) or ApiError(500, "The model failed.")
                    parts = []
                    if len(text) > shown[at]:
                        parts.append(delta(at, text[shown[at] :]))
                        shown[at] = len(text)
                    if over and not ended[at]:
                        ended[at], finish = True, job.answer.finish if job.answer else None
                        parts.append(delta(at, None, finish=finish or "stop",
                                           log=self._logs(job, 0)))  # fmt: skip
                    for part in parts:
                        copies = [{**part, "index": at + n} for n in range(count)]
                        yield chunk(self._envelope, copies, **more)
                if not all(ended):
                    await self._grown.wait()
                    self._grown.clear()
            answers = self._counted()
            if self._asked.include_usage:
                yield chunk(self._envelope, [], usage=usage(answers))
            yield DONE
        except ApiError as error:
            self._service.counters.refused(self._target.name, error.status)
            yield sse(error.plain())
        finally:
            if not all(ended):
                self._service.counters.cancelled()
            self.drop()

    def _logs(self, job: Job, start: int) -> Logprobs | None:
        return None if job.top is None else logprob_entries(self._target.model, job.tops[start:])

    def _counted(self) -> list[Answer]:
        """Return all answers, n copies of a single greedy one; count and log them."""
        answers = [job.answer for job in self._jobs if job.answer is not None]
        if len(answers) == 1:
            answers *= self._asked.n
        seconds = time.perf_counter() - self._begun
        tokens = usage(answers) or {}
        counts = {"prompt": tokens.get("prompt_tokens"), "answer": tokens.get("completion_tokens")}
        self._service.counters.answered(self._target.name, counts, seconds)
        if log := self._service.log:
            said = [m.content for m in self._asked.messages if m.role == "user"]
            valid = self._target.valid
            for answer in answers:
                log.add(self._target.name, said[-1] if said else "", answer, seconds,
                        valid(answer) if valid else None)  # fmt: skip
        return answers


async def _left(request: Request) -> None:
    """Return once the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
