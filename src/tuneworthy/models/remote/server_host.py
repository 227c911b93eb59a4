"""Start one model's server on its first request, and end it when its memory is needed elsewhere.

The memory of a GPU has room for a server or a training run, not both. `end_servers` frees it; each
server starts again on its next request.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tuneworthy.core.errors import NotProven, ProviderError
from tuneworthy.core.served import ServerModel
from tuneworthy.models.remote import server_process
from tuneworthy.models.remote.server_process import RunningServer

PATIENCE = 3.0  # seconds to wait for the end of a server that broke a connection
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
                self._started.append(server_process.start(self.kind, self.model, self.say))
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
            if not (last := server.ended(PATIENCE)):
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
