"""Settle a study by votes on its page: one study at a time, in a child process.

The process opens the study's ledger and models; it stores every vote before it shows the next pair.
A vote names its pair, so a second tab can't answer a pair twice. Knows no HTTP library.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneworthy.lab.child_call import (
    END_SECONDS,
    begin_as_child,
    error_from_parts,
    error_parts,
    how_it_ended,
    start_child,
)
from tuneworthy.lab.problem import Problem, problem_of
from tuneworthy.records.errors import TaskError, TuneworthyError
from tuneworthy.records.record import digest
from tuneworthy.verdict import phrases

if TYPE_CHECKING:
    from tuneworthy.flows.settling import Settling
    from tuneworthy.verdict.pairwise_votes import VoteQuestion
if TYPE_CHECKING:
    from tuneworthy.lab.studies import StudyPlace


_SettlingState = dict[str, Any]

Send = Callable[[_SettlingState], None]

_IDLE_SECONDS = 600.0  # seconds without a vote after which the study is closed


def serve_settling(pipe: Connection, path: Path, name: str, idle: float = _IDLE_SECONDS) -> None:
    """Settle the study of a task file until it is closed; `name` is its results folder's name."""
    from tuneworthy.flows.settling import open_settling

    begin_as_child()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:

            def tell(event: str, data: Any) -> None:
                if event == "say":
                    pipe.send({"state": "opening", "said": str(data)})

            with open_settling(path, tell=tell) as settling:
                if settling.folder_name != name:
                    raise TaskError(
                        "task.yaml or its rows name another study now", where=path.name,
                        fix="open that study's page, or put back what was changed",
                    )  # fmt: skip
                closed = _collect_votes(settling, pipe, idle)
            pipe.send(closed)  # after the ledger is free again
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            kind, value = error_parts(error)
            pipe.send({"state": "failed", "error": kind, "parts": value})


def _collect_votes(settling: Settling, pipe: Connection, idle: float) -> _SettlingState:
    """Collect votes until the study is closed, settled or idle; return the last state."""
    pipe.send(_settling_state(settling))
    while pipe.poll(idle):
        kind, *given = pipe.recv()
        if kind == "close":
            return {"state": "closed", "because": "", **_progress_state(settling)}
        if kind == "finish":
            return _write_verdict(settling)
        pipe.send(_settling_state(settling, refused=_store_vote(settling, *given)))
    return {"state": "closed", "because": "nobody voted for a while", **_progress_state(settling)}


def _store_vote(settling: Settling, pair: str, choice: Any, gold: str | None) -> str:
    """Store a vote on the shown pair; return "", or why it was refused."""
    question = settling.question()
    if question is None or _pair_id(settling, question) != pair:
        return "this pair was answered already"
    return settling.click(choice, gold)


def _settling_state(settling: Settling, refused: str = "") -> _SettlingState:
    from tuneworthy.report.vote_screen import blind_form

    question = settling.question()
    state = {
        "state": "over",
        "ended": settling.ended,
        "refused": refused,
        **_progress_state(settling),
    }
    if question is None:
        return state
    return {
        **state,
        "state": "asked",
        "pair": _pair_id(settling, question),
        "messages": [[one.role, one.content] for one in question.query.messages],
        "left": blind_form(question.left),
        "right": blind_form(question.right),
        "by_preference": settling.votes.by_preference,
    }


def _pair_id(settling: Settling, question: VoteQuestion) -> str:
    """Return the id of a shown pair; it differs if the same texts are shown again later."""
    clicks = settling.progress().clicks
    return digest([clicks, question.query.id, question.left, question.right], 16)


def _progress_state(settling: Settling) -> _SettlingState:
    from tuneworthy.report.vote_screen import progress_line

    far = settling.progress()
    same, shown = settling.repeated
    return {
        "bounds": [round(100 * points, 2) for points in far.left],
        "clicks": far.clicks,
        "more": far.more_clicks,
        "line": progress_line(far.left, far.clicks, far.more_clicks),
        "repeated": {"same": same, "shown": shown},
    }


def _write_verdict(settling: Settling) -> _SettlingState:

    done = settling.finish()
    return {
        "state": "written",
        "folder": done.folder.name,
        "study": digest(done.folder.name, 16),
        "gold": done.gold,
        "sentence": phrases.headline_and_arm(done.verdict),
        "status": done.verdict.status,
        "ended": settling.ended or "stopped",
        **_progress_state(settling),
    }


_WAIT_SECONDS = 1.0  # seconds that a reply waits for the next pair, mostly long enough

CLOSE_SECONDS = 5.0  # the most seconds in which the process closes the ledger

_OPEN_STATES = ("opening", "asked", "working", "over")

_CLOSED_STATE: _SettlingState = {"state": "closed", "because": ""}

Serve = Callable[[Connection, Path, str], None]


class OpenSettling:
    """The one study whose votes a lab collects, if any. Any thread may call its methods."""

    def __init__(self, serve: Serve = serve_settling) -> None:
        """`serve` is the function that the child process runs."""
        self._serve = serve
        self._changed = threading.Condition(threading.RLock())
        self._key = ""
        self._states: dict[str, _SettlingState] = {}
        self._process: Any = None
        self._pipe: Connection | None = None

    def state(self, key: str) -> _SettlingState:
        """Return a study's last state of settling, a dict; _CLOSED_STATE if it never opened."""
        with self._changed:
            return self._states.get(key, _CLOSED_STATE)

    def open(self, place: StudyPlace) -> _SettlingState:
        """Open a study for votes unless it is open, and return its state.

        Raises Problem (409) while another study is open.
        """
        with self._changed:
            if self._is_open(place.id):
                return self.state(place.id)
            if self._is_open(self._key):
                raise Problem(409, "another study is being settled", where="this lab",
                              fix="stop it on its page first: every vote is kept")  # fmt: skip
            self._start_process(place)
            return self._wait_for_state(place.id)

    def click(self, key: str, pair: str, choice: str, gold: str | None) -> _SettlingState:
        """Send the vote on a pair to the process and return the next state.

        Raises Problem (409) if the study is not open or this pair is not the one shown now.
        """
        with self._changed:
            now = self.state(key)
            if not self._is_open(key):
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
            return self._wait_for_state(key)

    def finish(self, key: str) -> _SettlingState:
        """Write the settled verdict beside the study's, close the study, and return the state."""
        with self._changed:
            if not self._is_open(key):
                return self.state(key)
            if self.state(key)["state"] not in ("asked", "over"):
                raise Problem(409, "the next pair is being made", where="the page",
                              fix="wait until it is shown, then stop")  # fmt: skip
            self._send(key, ("finish",))
            return self._wait_for_state(key)

    def close(self) -> None:
        """Close the open study, if any, and end its process."""
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

    def _is_open(self, key: str) -> bool:
        return key == self._key and self.state(key)["state"] in _OPEN_STATES

    def _wait_for_state(self, key: str) -> _SettlingState:
        """Wait up to a second for the next state; return the state by then."""
        waits = ("working", "opening")
        self._changed.wait_for(lambda: self.state(key)["state"] not in waits, _WAIT_SECONDS)
        return self.state(key)

    def _start_process(self, place: StudyPlace) -> None:
        if self._process is not None:
            self._process.join(END_SECONDS)
        self._process, self._pipe = start_child(
            "lab settling", self._serve, place.task_file, place.name
        )
        self._key = place.id
        self._states[place.id] = {"state": "opening", "said": ""}
        listens = threading.Thread(target=self._listen, name="lab settling", daemon=True,
                                   args=(place.id, self._pipe, self._process))  # fmt: skip
        listens.start()

    def _listen(self, key: str, pipe: Connection, process: Any) -> None:
        """Store the states that the process sends until it ends."""
        with suppress(EOFError, OSError):
            while True:
                state = pipe.recv()
                with self._changed:
                    self._states[key] = _with_problem(state)
                    self._changed.notify_all()
        with self._changed:
            if self._is_open(key) and process is self._process:  # else it was opened again since
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


def _with_problem(state: _SettlingState) -> _SettlingState:
    """Return a state of the process; the error of a failed one becomes a problem for the page."""
    if state["state"] != "failed":
        return state
    error = error_from_parts(state["error"], state["parts"])
    problem = problem_of(error) if isinstance(error, TuneworthyError) else error
    plain = problem.plain() if isinstance(problem, Problem) else {"what": str(problem)}
    return {"state": "failed", "problem": plain}
