"""The worker process as the server sees it: started on first use, and again after it died."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from tuneworthy.lab.child_call import END_SECONDS, how_it_ended
from tuneworthy.lab.run_process import OpenRunner, RunOrder, serve_runs


class WorkerDied(Exception):
    """The worker process ended during a run; the text says how."""


class RunWorker:
    """Runs orders in a process of its own. One thread calls `run`; `control` may come from any."""

    def __init__(self, open_runner: OpenRunner) -> None:
        """`open_runner` is called in the process, for its first run."""
        self._open, self._lock = open_runner, threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None
        self._sent = ""  # id of the last run whose order the process got
        self._early: list[tuple[str, str]] = []  # pressed before the process got the order

    @property
    def pid(self) -> int | None:
        """Return the process id, None while no worker runs."""
        return self._process.pid if self._process else None

    def run(self, order: RunOrder) -> Iterator[tuple[Any, ...]]:
        """Yield the messages of a run up to its last, ("over", …). Raises WorkerDied."""
        try:
            pipe = self._started()
            self._send_order(order)
            while True:
                message = pipe.recv()
                yield message
                if message[0] == "over":
                    return
        except (EOFError, OSError) as error:
            raise WorkerDied(self._how(error)) from None

    def control(self, action: str, run: str) -> None:
        """Pass pause, resume or stop on; a run that is over ignores it.

        What is pressed before the process has its order follows the order.
        """
        with suppress(OSError, ValueError), self._lock:
            if run != self._sent:
                self._early.append((action, run))
            elif self._pipe is not None:
                self._pipe.send((action, run))

    def kill(self) -> None:
        """End the process, whatever it does."""
        process = self._process
        if process is not None and process.is_alive():
            process.kill()
            process.join(END_SECONDS)

    def _started(self) -> Connection:
        if self._pipe is not None and self._process.is_alive():
            return self._pipe
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=serve_runs, args=(theirs, self._open), name="lab worker", daemon=True
        )
        self._process.start()
        theirs.close()  # so that reading ends when the process does
        self._pipe = ours
        return ours

    def _send_order(self, order: RunOrder) -> None:
        with self._lock:
            assert self._pipe is not None  # just started
            self._pipe.send(("run", order))
            self._sent = order.id
            for action, run in self._early:  # those of other runs are ignored there
                self._pipe.send((action, run))
            self._early.clear()

    def _how(self, error: Exception) -> str:
        process, self._pipe = self._process, None
        if process is None:
            return f"the worker process could not be started: {error}"
        return how_it_ended(process)
