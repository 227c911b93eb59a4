"""Settle a study by clicks on its page: one study at a time, open in a process of its own.

The process holds the study's ledger and its models; every vote is kept there before the next pair
is shown. A vote names the pair that it is for, so that a second tab answers nothing twice. Knows no
HTTP library.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneworthy.core.errors import TuneworthyError
from tuneworthy.lab.child_call import END_SECONDS, error_from_parts, how_it_ended
from tuneworthy.lab.problem import Problem, problem_of
from tuneworthy.lab.settle_process import State, serve_settling

if TYPE_CHECKING:  # what reads studies is slow to import
    from tuneworthy.lab.studies import StudyPlace

AT_ONCE = 1.0  # seconds that a reply waits for the next pair, which is mostly there by then
CLOSE_SECONDS = 5.0  # seconds that the process gets to close the ledger
GOES_ON = ("opening", "asked", "working", "over")
CLOSED: State = {"state": "closed", "because": ""}
Serve = Callable[[Connection, Path, str], None]


class OpenSettling:
    """Holds the study, if any, whose votes a lab collects. Any thread may call its methods."""

    def __init__(self, serve: Serve = serve_settling) -> None:
        """`serve` runs in the process."""
        self._serve = serve
        self._changed = threading.Condition(threading.RLock())
        self._key, self._home = "", Path()
        self._states: dict[str, State] = {}
        self._process: Any = None
        self._pipe: Connection | None = None

    def state(self, key: str) -> State:
        """Return the state of settling a study; see `settle_process`."""
        with self._changed:
            return self._states.get(key, CLOSED)

    def refuse_while_open(self, place: StudyPlace) -> None:
        """Raise Problem (409) while a study of this task is open for votes: it has the ledger."""
        with self._changed:
            if self._goes_on(self._key) and self._home == place.home:
                raise Problem(409, "a study of this task is open for votes", where="the ledger",
                              fix="stop it on its Settle page: each vote is kept")  # fmt: skip

    def open(self, place: StudyPlace) -> State:
        """Open a study to settle it, and return its state; one that is open stays so.

        Raises Problem (409) while another study is open.
        """
        with self._changed:
            if self._goes_on(place.id):
                return self.state(place.id)
            if self._goes_on(self._key):
                raise Problem(409, "another study is being settled", where="this lab",
                              fix="stop it on its page first: every vote is kept")  # fmt: skip
            self._start(place)
            return self._settled_soon(place.id)

    def click(self, key: str, pair: str, choice: str, gold: str | None) -> State:
        """Keep the vote on a pair and return the next state.

        Raises Problem (409) if this pair is not the one that is asked: it was answered already.
        """
        with self._changed:
            now = self.state(key)
            if not self._goes_on(key):
                raise Problem(409, "this study is not open for votes", where="the page",
                              got=now["state"], fix="press Start: it goes on where it stopped",
                              kept="every vote")  # fmt: skip
            if now["state"] != "asked" or now["pair"] != pair:
                raise Problem(
                    409, "this pair was answered already, here or in another tab",
                    where="the vote", fix="answer the pair that is shown now",
                    kept="the first answer; this one is not counted",
                )  # fmt: skip
            self._send(key, ("click", pair, choice, gold))
            return self._settled_soon(key)

    def finish(self, key: str) -> State:
        """Write the settled verdict beside the study's, and close it; return the state."""
        with self._changed:
            if not self._goes_on(key):
                return self.state(key)
            if self.state(key)["state"] not in ("asked", "over"):
                raise Problem(409, "the next pair is being made", where="the page",
                              fix="wait until it is shown, then stop")  # fmt: skip
            self._send(key, ("finish",))
            return self._settled_soon(key)

    def close(self) -> None:
        """Close the study that is open, and end the process."""
        with self._changed:
            process, pipe = self._process, self._pipe
        if process is None:
            return
        if pipe is not None:
            with suppress(OSError, ValueError):
                pipe.send(("close",))
        process.join(CLOSE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join(END_SECONDS)

    def _goes_on(self, key: str) -> bool:
        return key == self._key and self.state(key)["state"] in GOES_ON

    def _settled_soon(self, key: str) -> State:
        """Wait a moment for the next state; return what it is by then."""
        waits = ("working", "opening")
        self._changed.wait_for(lambda: self.state(key)["state"] not in waits, AT_ONCE)
        return self.state(key)

    def _start(self, place: StudyPlace) -> None:
        if self._process is not None:
            self._process.join(END_SECONDS)
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=self._serve, args=(theirs, place.task_file, place.name), daemon=True,
            name="lab settling",
        )  # fmt: skip
        self._process.start()
        theirs.close()  # so that reading ends when the process does
        self._key, self._home = place.id, place.home
        self._states[place.id] = {"state": "opening", "said": ""}
        listens = threading.Thread(target=self._listen, name="lab settling", daemon=True,
                                   args=(place.id, self._pipe, self._process))  # fmt: skip
        listens.start()

    def _listen(self, key: str, pipe: Connection, process: Any) -> None:
        """Take the states of the process until it ends."""
        with suppress(EOFError, OSError):
            while True:
                state = pipe.recv()
                with self._changed:
                    self._states[key] = _with_problem(state)
                    self._changed.notify_all()
        with self._changed:
            if self._goes_on(key) and process is self._process:  # else it was opened again since
                problem = Problem(500, "settling ended before its time", got=how_it_ended(process),
                                  fix="press Start: it goes on where it stopped",
                                  kept="every vote")  # fmt: skip
                self._states[key] = {"state": "failed", "problem": problem.plain()}
            self._changed.notify_all()

    def _send(self, key: str, message: tuple[Any, ...]) -> None:
        self._states[key] = {**self.state(key), "state": "working"}
        with suppress(OSError, ValueError):  # if the process is gone, its reader says so
            if self._pipe is not None:
                self._pipe.send(message)


def _with_problem(state: State) -> State:
    """Return a state of the process; an error in it becomes a problem for the page."""
    if state["state"] != "failed":
        return state
    error = error_from_parts(state["error"], state["parts"])
    problem = problem_of(error) if isinstance(error, TuneworthyError) else error
    plain = problem.plain() if isinstance(problem, Problem) else {"what": str(problem)}
    return {"state": "failed", "problem": plain}
