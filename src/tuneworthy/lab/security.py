"""Refuse requests that do not come from the lab's own pages; add security headers to each reply.

One ASGI middleware in front of every route, static files and streams included. A request needs the
session's cookie (or the secret as a bearer token) and an address of this lab as Host and Origin. A
change needs a POST with JSON and the CSRF token, which only a page of the lab can read.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio import BrokenResourceError, ClosedResourceError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from tuneworthy.handover.serve.chat_reply import ApiError
from tuneworthy.handover.serve.listening import is_loopback
from tuneworthy.handover.serve.request_body import read_body
from tuneworthy.lab.lab_folder import private_file, read_file
from tuneworthy.lab.problem import PLAIN_STYLE_HASH, Problem
from tuneworthy.records.strict_json import strict_json

MOST_BODY_BYTES, MOST_HEADERS, MOST_URL, MOST_KEYS = 10 << 20, 16 << 10, 8 << 10, 1000

_CSRF_HEADER = "x-csrf-token"
_LAUNCH_PATH = "/launch"

POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{PLAIN_STYLE_HASH}'; "
    "img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_PATH = re.compile(r"/[A-Za-z0-9._/-]*")

_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

_OUR_NAMES = {name for name, _ in _RAW_HEADERS}

# No redirect: after one, a browser that came from a file would not send a strict cookie.
_OPENED_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>tuneworthy lab</title>'
    '<link rel="icon" href="/static/icon.svg" type="image/svg+xml">'
    '<meta http-equiv="refresh" content="0; url=/"><p><a href="/">Open the lab</a></p></html>'
)

_RELAUNCH_FIX = (
    "go to the terminal in which the lab runs and open the address that it printed; on this machine"
    " it opens the lab again as often as you like. Without that terminal, run `tuneworthy lab`"
)

Message = MutableMapping[str, Any]

Receive = Callable[[], Awaitable[Message]]

Send = Callable[[Message], Awaitable[None]]

_App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Guard:
    """Middleware before every route of the lab; `said` is called with a line on each refusal."""

    def __init__(
        self, app: _App, access: Access, said: Callable[[str], None] = lambda line: None
    ) -> None:
        """Guard `app`, with the tokens and addresses of `access`."""
        self._app, self._access, self._said = app, access, said

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass one request to the application, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send)
        request = Request(scope, receive)
        try:
            _check_form(request)
            _check_sender(request, self._access)
            if scope["path"] == _LAUNCH_PATH:
                await self._launch(request, send)
                return
            self._check_session(request)
            if request.method == "POST":
                self._check_change(request)
                receive = await _checked_body(request, receive)
        except Problem as problem:
            self._said(f"refused ({problem.status}): {problem.what}")
            await send_problem(request, send, problem)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # a reply was sent already, or the browser has gone
            if not _is_client_gone(error):
                self._said(f"a request failed: {type(error).__name__}: {error}")

    async def _launch(self, request: Request, send: Send) -> None:
        """Set the session's cookie for a valid launch token, then open the home page."""
        if request.method != "GET":
            raise Problem(405, "a launch address is opened, not sent to", fix=_RELAUNCH_FIX)
        near = self._access.is_near(request.client.host if request.client else "")
        if not self._access.redeem(_launch_token(request), near):
            raise Problem(
                401, "this launch address is not of this lab, or another machine used it already",
                where="the address", fix=_RELAUNCH_FIX,
            )  # fmt: skip
        answer = HTMLResponse(_OPENED_PAGE)
        answer.set_cookie(self._access.cookie, self._access.secret, httponly=True,
                          samesite="strict")  # fmt: skip
        await answer(request.scope, request.receive, send)

    def _check_session(self, request: Request) -> None:
        cookies = [value for one in request.headers.getlist("cookie")
                   for value in _cookie_values(one, self._access.cookie)]  # fmt: skip
        bearer = _bearer_tokens(request)
        if not any(self._access.is_session(each) for each in (*cookies, *bearer)):
            raise Problem(
                401, "this browser has not opened the lab yet", where="the session's cookie",
                got="none, or one of another lab", fix=_RELAUNCH_FIX,
            )  # fmt: skip

    def _check_change(self, request: Request) -> None:
        """Raise Problem for a POST without Origin or CSRF token; a bearer secret replaces both."""
        if _bearer_tokens(request):
            return
        if "origin" not in request.headers:
            raise Problem(403, "a change must say which page asks for it", where="header Origin",
                          got="nothing", fix="use the lab's own pages")  # fmt: skip
        if not self._access.is_csrf(request.headers.get(_CSRF_HEADER, "")):
            raise Problem(403, "a change needs the token of the lab's pages",
                          where=f"header {_CSRF_HEADER}", fix="load the page again")  # fmt: skip


def _check_form(request: Request) -> None:
    """Raise Problem for a bad method, size or path, two body lengths, or a packed body."""
    scope, headers = request.scope, request.headers
    if request.method not in ("GET", "POST"):
        raise Problem(405, "the lab knows GET and POST only", got=request.method)
    if scope["http_version"] not in ("1.0", "1.1"):
        raise Problem(505, "the lab speaks HTTP/1.1", got=scope["http_version"])
    target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if target > MOST_URL:
        raise Problem(414, "the address is too long", got=f"{target} bytes",
                      fix=f"at most {MOST_URL}")  # fmt: skip
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MOST_HEADERS:
        raise Problem(431, "the headers are too long", got=f"{size} bytes",
                      fix=f"at most {MOST_HEADERS}")  # fmt: skip
    raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    if not _PATH.fullmatch(raw) or ".." in raw or "//" in raw:
        raise Problem(400, "the lab has no such address", where="the path", got=raw)
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Problem(400, "the request has two lengths", where="Content-Length, Transfer-Encoding")
    if "content-encoding" in headers:
        raise Problem(415, "a packed body is not read", where="header Content-Encoding",
                      got=headers["content-encoding"], fix="send it as it is")  # fmt: skip


def _check_sender(request: Request, access: Access) -> None:
    """Raise Problem for another Host, or for a page of another origin."""
    hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
    if len(hosts) != 1 or hosts[0] not in access.hosts:
        raise Problem(
            400, "this lab answers to its own address only", where="header Host",
            got=", ".join(hosts), fix=_RELAUNCH_FIX,
        )  # fmt: skip
    if origins and (len(origins) > 1 or origins[0] not in access.origins):
        raise Problem(403, "another page may not use the lab", where="header Origin",
                      got=", ".join(origins), fix="use the lab's own pages")  # fmt: skip
    site = request.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin") and request.scope["path"] != _LAUNCH_PATH:
        raise Problem(403, "another page may not use the lab", where="header Sec-Fetch-Site",
                      got=site, fix=_RELAUNCH_FIX)  # fmt: skip


async def _checked_body(request: Request, receive: Receive) -> Receive:
    """Return an ASGI `receive` that replays a POST's checked body; Problem unless it is JSON."""
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "a change is sent as JSON", where="header Content-Type", got=kind,
                      fix="send application/json")  # fmt: skip
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > MOST_BODY_BYTES:
        raise Problem(413, "the body is too large", got=f"{length} bytes", fix="at most 10 MB")
    try:
        body = await read_body(request.stream(), MOST_BODY_BYTES)
    except ApiError as error:
        raise Problem(error.status, error.message, where="body") from None
    value = _body_value(body) if body else {}
    if not isinstance(value, dict):
        raise Problem(400, "the body is not a JSON object", where="body",
                      got=type(value).__name__, fix="send one JSON object")  # fmt: skip
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body or b"{}", "more_body": False}

    return again


def _body_value(body: bytes) -> Any:
    """Return the JSON value of a body. Raises Problem (400) for no strict JSON, or many keys."""
    try:
        value = strict_json(body)
        if body.count(b'":') > MOST_KEYS and _key_count(value) > MOST_KEYS:
            raise ValueError(f"more than {MOST_KEYS} keys")
    except ValueError as error:
        raise Problem(400, "the body is not valid JSON", where="body", got=str(error),
                      fix="send one JSON object in UTF-8") from None  # fmt: skip
    return value


def _key_count(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, dict) * len(inner) + sum(map(_key_count, inner))


async def send_problem(request: Request, send: Send, problem: Problem) -> None:
    """Send a problem as a reply without the lab's files: HTML for a browser, else JSON."""
    answer: Response
    if wants_page(request):
        answer = HTMLResponse(problem.page(), problem.status)
    else:
        answer = JSONResponse(problem.plain(), problem.status)
    await answer(request.scope, request.receive, send)


def wants_page(request: Request) -> bool:
    """Return whether a request wants a page as reply (else it gets JSON)."""
    accepts = "text/html" in request.headers.get("accept", "")
    return request.method == "GET" and accepts and not request.scope["path"].startswith("/api/")


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [pair for pair in message.get("headers", ()) if pair[0].lower() not in _OUR_NAMES]
            message = {**message, "headers": [*own, *_RAW_HEADERS]}
        await send(message)

    return sent


def _launch_token(request: Request) -> str:
    """Return the launch token, "" unless it is the only part of the query."""
    name, _, token = request.scope["query_string"].decode("latin-1").partition("=")
    return token if name == "token" else ""


def _is_client_gone(error: Exception) -> bool:
    """Return whether an error only means that a stream's browser has disconnected."""
    if isinstance(error, ExceptionGroup):
        return all(_is_client_gone(each) for each in error.exceptions)
    return isinstance(error, BrokenResourceError | ClosedResourceError | ClientDisconnect)


def _cookie_values(header: str, name: str) -> list[str]:
    """Return all values of a cookie in a header: one of another port must not hide ours."""
    pairs = [pair.strip().partition("=") for pair in header.split(";")]
    return [value for key, _, value in pairs if key == name]


def _bearer_tokens(request: Request) -> list[str]:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return [given.strip()] if scheme.lower() == "bearer" and given.strip() else []


_TOKEN_BYTES = 32  # 256 bits

_HOST_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass
class Access:
    """The secret of the sessions, the launch tokens, and the allowed hosts and origins."""

    port: int
    host: str = "127.0.0.1"
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES))
    _launches: dict[str, bool] = field(default_factory=dict)
    """Whether each launch token was used."""

    @property
    def hosts(self) -> frozenset[str]:
        """Return the allowed values of a Host header, each with the port."""
        names = {*_HOST_NAMES, f"[{self.host}]" if ":" in self.host else self.host}
        return frozenset(f"{name}:{self.port}" for name in names)

    @property
    def origins(self) -> frozenset[str]:
        """Return the allowed values of an Origin header."""
        return frozenset(f"http://{host}" for host in self.hosts)

    @property
    def cookie(self) -> str:
        """Return the cookie's name; it has the port, as all ports of a host share cookies."""
        return f"tuneworthy_lab_{self.port}"

    @property
    def csrf(self) -> str:
        """Return the CSRF token, which a page of the lab sends with each change."""
        return hmac.new(self.secret.encode(), b"csrf", "sha256").hexdigest()

    def is_csrf(self, given: str) -> bool:
        """Return whether a text is the CSRF token."""
        return _equal_in_constant_time(self.csrf, given)

    def launch_url(self) -> str:
        """Return a new address with a launch token, which opens the lab while it runs."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._launches[token] = False
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/launch?token={token}"

    def is_near(self, host: str) -> bool:
        """Return whether a request's host is this machine."""
        return is_loopback(host) or host == self.host

    def redeem(self, token: str, near: bool) -> bool:
        """Use a launch token; return whether it is valid: again and again near, else once."""
        found = [one for one in self._launches if _equal_in_constant_time(one, token)]
        valid = any(near or not self._launches[one] for one in found)
        self._launches.update(dict.fromkeys(found, True))
        return valid

    def is_session(self, given: str) -> bool:
        """Return whether a cookie or a bearer token is the session's secret."""
        return _equal_in_constant_time(self.secret, given)


def _equal_in_constant_time(one: str, other: str) -> bool:
    """Return whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "replace"))


def last_access(folder: Path) -> Access | None:
    """Return secret and port of the folder's last lab; None without one."""
    try:
        kept = json.loads(read_file(folder / "session.json", 4096))
        access = Access(int(kept["port"]), secret=str(kept["secret"]))
        return access if len(access.secret) >= _TOKEN_BYTES and 0 < access.port < 65536 else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def write_access(folder: Path, access: Access) -> None:
    """Write secret and port to a file that only this user can read. Raises OSError."""
    content = json.dumps({"port": access.port, "secret": access.secret}).encode()
    path, part = folder / "session.json", folder / "session.part"
    part.unlink(missing_ok=True)
    fd = private_file(part, os.O_EXCL)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
    os.replace(part, path)
