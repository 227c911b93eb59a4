"""The process that settles a study: it shows pairs, stores each vote, and writes the verdict.

The server starts it with `spawn` and exchanges messages over one pipe. It receives ("click", pair,
choice, gold), ("finish",) and ("close",). It sends states, dicts with the key `state`: opening,
asked (a pair is shown), over (no pair is left), written, closed, failed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneworthy.core.errors import TaskError
from tuneworthy.core.record import digest
from tuneworthy.lab.child_call import begin_as_child, error_parts
from tuneworthy.verdict import phrases

if TYPE_CHECKING:  # models and statistics are slow to import, and only the process needs them
    from tuneworthy.settle.pairwise_votes import VoteQuestion
    from tuneworthy.settling import Settling

SettlingState = dict[str, Any]
Send = Callable[[SettlingState], None]
IDLE_SECONDS = 600.0  # seconds without a vote after which the study is closed


def serve_settling(pipe: Connection, path: Path, name: str, idle: float = IDLE_SECONDS) -> None:
    """Settle the study of a task file until it is closed; `name` is its results folder's name."""
    from tuneworthy.settling import open_settling

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


def _collect_votes(settling: Settling, pipe: Connection, idle: float) -> SettlingState:
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
    """Store a vote on the shown pair; return why it was refused, or ""."""
    question = settling.question()
    if question is None or pair_id(settling, question) != pair:
        return "this pair was answered already"
    return settling.click(choice, gold)


def _settling_state(settling: Settling, refused: str = "") -> SettlingState:
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
        "pair": pair_id(settling, question),
        "messages": [[one.role, one.content] for one in question.query.messages],
        "left": blind_form(question.left),
        "right": blind_form(question.right),
        "by_preference": settling.votes.by_preference,
    }


def pair_id(settling: Settling, question: VoteQuestion) -> str:
    """Return the id of a shown pair; it differs if the same texts are shown again later."""
    clicks = settling.progress().clicks
    return digest([clicks, question.query.id, question.left, question.right], 16)


def _progress_state(settling: Settling) -> SettlingState:
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


def _write_verdict(settling: Settling) -> SettlingState:

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
