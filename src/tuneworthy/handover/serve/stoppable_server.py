"""A uvicorn server that stops at the signals of `store/signals.py` and closes stalled requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tuneworthy.store import signals


class StoppableServer(uvicorn.Server):
    """A uvicorn server that stops at the signals of `store/signals.py`, as every command does.

    `on_stop` is called once, before open connections get their time to end.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop, self._stop_told = on_stop, False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: `store/signals.py` has its own."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Return whether the server should stop; call `on_stop` once a signal has come."""
        if signals.requested_exit_code() is not None and not self._stop_told:
            self._stop_told = self.should_exit = True
            self._on_stop()
        return await super().on_tick(counter)


LIMIT_SECONDS = 30.0


DISCARD_SECONDS, DISCARD_BYTES = 1.0, 16 << 20  # of a body that goes on after its reply


class TimedProtocol(H11Protocol):
    """Closes a connection whose request does not arrive, or whose reply is not read, in time.

    A body that goes on after its reply (401, 413) is read for a moment, so that the client sees the
    reply, and the connection is then closed.
    """

    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None
    _discarding: asyncio.TimerHandle | None = None
    _discarded = 0
    waits_since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Start the time limit of the first headers; make room if all places are taken."""
        super().connection_made(transport)
        self.waits_since = self.loop.time()
        self._head = self.loop.call_later(LIMIT_SECONDS, self._abort)
        others = [one for one in self.connections if isinstance(one, TimedProtocol)
                  and one is not self and not one._is_answering()]  # fmt: skip
        if self.limit_concurrency and len(self.connections) >= self.limit_concurrency and others:
            oldest = min(others, key=lambda one: one.waits_since)
            self.connections.discard(oldest)
            oldest._abort()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Process received bytes; a request's time limit starts with its first byte."""
        if self._discarding is not None:
            self._discarded += len(data)
            if self._discarded > DISCARD_BYTES:
                self._abort()
                return
        super().data_received(data)
        if self._discarding and (
            self._is_answering() or self.conn.their_state is not h11.SEND_BODY
        ):
            self._discarding.cancel()
            self._discarding, self._discarded = None, 0
        if self._is_answering() and self._head:
            self._head.cancel()
            self._head = None
        elif not self._is_answering() and self._head is None:
            self._head = self.loop.call_later(LIMIT_SECONDS, self._abort)

    def on_response_complete(self) -> None:
        """Wait for the next request; close soon if the body of this one is still on its way."""
        super().on_response_complete()
        self.waits_since = self.loop.time()
        if self.conn.their_state is h11.SEND_BODY and self._discarding is None:
            self._discarding = self.loop.call_later(DISCARD_SECONDS, self._abort)

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
        for timer in (self._head, self._reader, self._discarding):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def _abort(self) -> None:
        self.transport.abort()
