"""HTTP connections with time limits: close those with slow headers or that stop reading."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

LIMIT_SECONDS = 30.0


class TimedProtocol(H11Protocol):
    """Closes a connection whose request does not arrive, or whose reply is not read, in time."""

    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the time limit of the first request's headers."""
        super().connection_made(transport)
        self._head = self.loop.call_later(LIMIT_SECONDS, self._abort)

    def data_received(self, data: bytes) -> None:
        """Process received bytes; a request's time limit starts with its first byte."""
        super().data_received(data)
        complete = self.cycle is not None and not self.cycle.response_complete
        if complete and self._head:
            self._head.cancel()
            self._head = None
        elif not complete and self._head is None:
            self._head = self.loop.call_later(LIMIT_SECONDS, self._abort)

    def pause_writing(self) -> None:
        """Stop sending, and start the time limit for the client to read on."""
        super().pause_writing()
        self._reader = self.loop.call_later(LIMIT_SECONDS, self._abort)

    def resume_writing(self) -> None:
        """Send again, and cancel the client's time limit."""
        super().resume_writing()
        if self._reader:
            self._reader.cancel()
            self._reader = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all time limits."""
        for timer in (self._head, self._reader):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def _abort(self) -> None:
        self.transport.abort()
