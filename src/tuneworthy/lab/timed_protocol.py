"""HTTP connections with time limits: slow headers and readers that stop reading are cut off."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 30.0


class TimedProtocol(H11Protocol):
    """Closes a connection whose request does not arrive, or whose reply is not read, in time."""

    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request, but not for ever."""
        super().connection_made(transport)
        self._head = self.loop.call_later(SECONDS, self._cut)

    def data_received(self, data: bytes) -> None:
        """Read on; the time of a request's headers runs from their first byte."""
        super().data_received(data)
        complete = self.cycle is not None and not self.cycle.response_complete
        if complete and self._head:
            self._head.cancel()
            self._head = None
        elif not complete and self._head is None:
            self._head = self.loop.call_later(SECONDS, self._cut)

    def pause_writing(self) -> None:
        """Stop sending; a client that does not read on loses its connection."""
        super().pause_writing()
        self._reader = self.loop.call_later(SECONDS, self._cut)

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        if self._reader:
            self._reader.cancel()
            self._reader = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time limits."""
        for timer in (self._head, self._reader):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def _cut(self) -> None:
        self.transport.abort()
