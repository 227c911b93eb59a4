"""Start an inference server for a model, wait until it answers, and end it in any case."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tuneworthy.models.remote.endpoint import keyless
from tuneworthy.models.remote.process_guard import LOG_LINES, GuardedProcess
from tuneworthy.records.errors import ModelError, NotInstalled, NotProven, ProviderError, TaskError
from tuneworthy.records.model import ServerModel
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import Reason

# Most seconds that a server may take to load; TUNEWORTHY_SERVER_SECONDS overrides it.
_LOADING_SECONDS = 1800.0

SECONDS_BETWEEN_LINES = 30.0  # between two progress lines while the server loads

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class RunningServer(GuardedProcess):
    """A server on 127.0.0.1 that we started: address and key, besides log file and process."""

    kind: str
    url: str
    key: str

    def ended(self, patience: float = 0.0) -> str:
        """Return the log's last lines if the server ends within `patience` seconds, else ""."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return ""
        return self.last_lines()

    def last_lines(self) -> str:
        """Return the last lines of the server's log, without its key."""
        return super().last_lines().replace(self.key, "[the key]")

    def stop(self) -> None:
        """End the server and the processes it started; delete its log. Can be called again."""
        super().stop()
        self.log.unlink(missing_ok=True)


def variable(kind: str) -> str:
    """Return the name of the environment variable with a server's command or address."""
    return f"TUNEWORTHY_{kind.upper()}"


def address_of(kind: str) -> str:
    """Return the address of the user's running server, "" if tuneworthy should start one.

    Raises SecurityError for a forbidden address, TaskError for none.
    """
    named = os.environ.get(variable(kind), "")
    if not named.startswith(("http://", "https://")):
        return ""
    return keyless(named).url


def missing_program(kind: str) -> Reason | None:
    """Return the reason that a server's program is missing; None if it or an address is set."""
    words = _command_words(kind, load("servers", kind))
    if address_of(kind) or shutil.which(words[0]) is not None:
        return None
    about = f"`{words[0]}` to start {kind}, or {variable(kind)}"
    return Reason.needs(about, ": its command or an address")


def start(kind: str, model: ServerModel, say: Callable[[str], None]) -> RunningServer:
    """Start a server for a model and return it once it answers requests.

    Raises NotInstalled without its program, ModelError if it ends or serves another model, both
    with the last lines of its log.
    """
    plugin = load("servers", kind)
    program = _program(kind, plugin)
    port, key = _free_port(), secrets.token_urlsafe(32)
    command = plugin.command(program, model, port)
    handle, name = tempfile.mkstemp(prefix=f"tuneworthy-{kind}-", suffix=".log")
    os.close(handle)
    say(f"starting {kind} for {model.name}: its log is {name}")
    process = GuardedProcess.start(command, Path(name), more=plugin.environment(key))
    server = RunningServer(Path(name), process, kind, f"http://127.0.0.1:{port}/v1", key)
    try:
        _wait_until_ready(server, plugin.HEALTH, say)
        _check_names(server, model)
    except BaseException:
        server.stop()
        raise
    return server


def _command_words(kind: str, plugin: ModuleType) -> list[str]:
    return shlex.split(os.environ.get(variable(kind), "")) or list(plugin.PROGRAM)


def _program(kind: str, plugin: ModuleType) -> list[str]:
    words = _command_words(kind, plugin)
    if shutil.which(words[0]) is None:
        raise NotInstalled(
            f"the program that starts {kind} is not here",
            got=words[0],
            fix=f"install it, or set {variable(kind)} to its command or to a server's address",
        )
    return words


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def _loading_seconds() -> float:
    text = os.environ.get("TUNEWORTHY_SERVER_SECONDS", "")
    try:
        return float(text) if text else _LOADING_SECONDS
    except ValueError:
        raise TaskError(
            "this is no number of seconds", where="TUNEWORTHY_SERVER_SECONDS", got=text,
            fix="write a number, or unset it",
        ) from None  # fmt: skip


def _wait_until_ready(server: RunningServer, health: str, say: Callable[[str], None]) -> None:
    begun, told, limit = time.monotonic(), 0.0, _loading_seconds()
    while True:
        if last := server.ended():
            raise _server_error(server, "ended before it could be asked", last)
        try:
            if _get(server, server.url.removesuffix("/v1") + health) is not None:
                return
        except (OSError, urllib.error.URLError):
            pass
        seconds = time.monotonic() - begun
        if seconds > limit:
            raise _server_error(
                server, f"could not be asked after {limit:.0f} s", server.last_lines()
            )
        if seconds - told >= SECONDS_BETWEEN_LINES:
            told = seconds
            say(f"{server.kind} loads for {seconds:.0f} s: {server.last_lines()[-100:]}")
        time.sleep(0.2)


def _check_names(server: RunningServer, model: ServerModel) -> None:
    """Raise ModelError unless the server lists the model's name."""
    try:
        told = json.loads(_get(server, f"{server.url}/models") or "null")
        names = [str(one["id"]) for one in told["data"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _server_error(server, "does not say which model it serves", str(error)) from error
    if model.name not in names:
        raise _server_error(server, f"serves another model than {model.name}", ", ".join(names))


def _get(server: RunningServer, url: str) -> bytes | None:
    """Return the body of a GET request to the server, None for a status other than 200."""
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {server.key}"})
    try:
        with DIRECT.open(asked, timeout=10) as page:
            return bytes(page.read(1_000_000)) if page.status == 200 else None
    except urllib.error.HTTPError:
        return None


def _server_error(server: RunningServer, what: str, got: str) -> ModelError:
    return ModelError(
        f"{server.kind} {what}",
        got=got.splitlines()[-1] if got else "it wrote nothing",
        where=[line[:200] for line in got.splitlines()[-LOG_LINES:-1]] or "",
        fix=f"see these lines of its log; set {variable(server.kind)} to change its command",
    )


PATIENCE_SECONDS = 3.0  # seconds to wait for the end of a server that broke a connection

_hosts: weakref.WeakSet[ServerHost] = weakref.WeakSet()


class ServerHost:
    """The running server of a model, or none; `adapters` are the names of those it has loaded.

    The server ends with this object, or with the process.
    """

    def __init__(self, kind: str, model: ServerModel, say: Callable[[str], None]) -> None:
        self.kind, self.model, self.say = kind, model, say
        self.adapters: list[str] = []
        self._lock = threading.RLock()
        self._started: list[RunningServer] = []
        self._stop_server = weakref.finalize(self, _stop_server, self._started)
        _hosts.add(self)

    def running(self) -> RunningServer:
        """Return the server, started if it is not running. Raises NotInstalled or ModelError."""
        with self._lock:
            if not self._started:
                self._started.append(start(self.kind, self.model, self.say))
            return self._started[0]

    def end(self) -> bool:
        """End the server, which the next request starts again; return whether it was running."""
        with self._lock:
            self.adapters.clear()
            return _stop_server(self._started)

    def allow_rank(self, rank: int) -> None:
        """Make the server take adapters up to `rank`; end it if it was started for lower ranks."""
        if rank > self.model.rank:
            self.end()
            self.model = self.model.model_copy(update={"rank": rank})

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raise errors of requests in the block with the server's last log lines, if it ended."""
        try:
            yield
        except NotProven:
            raise
        except ProviderError as error:
            server = self.running()
            # a server that ends closes its connections first
            if not (last := server.ended(PATIENCE_SECONDS)):
                raise
            *before, end = last.splitlines()
            raise ProviderError(
                f"{server.kind} ended while it was asked",
                where=[line[:200] for line in before],
                got=end,
                fix="see these lines of its log, then run again: stored answers are kept",
            ) from error


def end_servers() -> list[str]:
    """End every server that this process started, for any study; return their kinds."""
    return [host.kind for host in list(_hosts) if host.end()]


def _stop_server(started: list[RunningServer]) -> bool:
    if not started:
        return False
    started.pop().stop()
    return True
