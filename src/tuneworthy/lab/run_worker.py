"""The server's side of the worker process: start it when needed, send orders, read events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from tuneworthy.lab.child_call import END_SECONDS, how_it_ended, start_child
from tuneworthy.lab.run_process import OpenRunner, RunOrder, serve_runs


class WorkerDied(Exception):
    """The worker process ended during a run; the text says how."""


class RunWorker:
    """Runs orders in a child process. One thread calls `open` and `run`, any thread `control`."""

    def __init__(self, open_runner: OpenRunner) -> None:
        """`open_runner` is called in the process before its first run."""
        self._open_runner, self._lock = open_runner, threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None
        self._sent_order_id = ""  # id of the last run whose order was sent
        self._early_actions: list[tuple[str, str]] = []  # actions before the order was sent

    @property
    def pid(self) -> int | None:
        """Return the process id, None while no worker runs."""
        return self._process.pid if self._process else None

    def open(self) -> None:
        """Start the process if needed and let it load the model; call it between two runs."""
        with suppress(OSError, ValueError):
            self._start_if_needed().send(("open",))

    def run(self, order: RunOrder) -> Iterator[tuple[Any, ...]]:
        """Send an order; yield its messages up to ("over", …). Raises WorkerDied."""
        try:
            pipe = self._start_if_needed()
            self._send_order(order)
            while True:
                message = pipe.recv()
                yield message
                if message[0] == "over":
                    return
        except (EOFError, OSError) as error:
            raise WorkerDied(self._how_it_ended(error)) from None

    def control(self, action: str, run: str) -> None:
        """Send pause, resume or stop to the process, which ignores it for a run that is over.

        An action that comes before the run's order was sent is sent after it.
        """
        with suppress(OSError, ValueError), self._lock:
            if run != self._sent_order_id:
                self._early_actions.append((action, run))
            elif self._pipe is not None:
                self._pipe.send((action, run))

    def kill(self) -> None:
        """Kill the process if it runs."""
        process = self._process
        if process is not None and process.is_alive():
            process.kill()
            process.join(END_SECONDS)

    def _start_if_needed(self) -> Connection:
        if self._pipe is not None and self._process.is_alive():
            return self._pipe
        self._process, self._pipe = start_child("lab worker", serve_runs, self._open_runner)
        return self._pipe

    def _send_order(self, order: RunOrder) -> None:
        with self._lock:
            assert self._pipe is not None  # just started
            self._pipe.send(("run", order))
            self._sent_order_id = order.id
            for action, run in self._early_actions:  # the process ignores those of other runs
                self._pipe.send((action, run))
            self._early_actions.clear()

    def _how_it_ended(self, error: Exception) -> str:
        process, self._pipe = self._process, None
        if process is None:
            return f"the worker process could not be started: {error}"
        return how_it_ended(process)
