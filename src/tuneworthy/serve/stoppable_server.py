"""A uvicorn server that stops at the signals of `ledger/signals.py`. Knows no route."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import uvicorn

from tuneworthy.ledger import signals


class StoppableServer(uvicorn.Server):
    """A uvicorn server that stops at the signals of `ledger/signals.py`, as every command does.

    `on_stop` is called once, before open connections get their time to end.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop, self._stop_told = on_stop, False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: `ledger/signals.py` has its own."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Return whether the server should stop; call `on_stop` once a signal has come."""
        if signals.requested_exit_code() is not None and not self._stop_told:
            self._stop_told = self.should_exit = True
            self._on_stop()
        return await super().on_tick(counter)
