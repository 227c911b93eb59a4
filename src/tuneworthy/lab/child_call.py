"""Child processes of the lab: start one, call a function in one, say how one ended.

A call is for work on files that other programs wrote: its memory is freed when the process ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from tuneworthy.lab.problem import Problem
from tuneworthy.records import errors
from tuneworthy.records.errors import TuneworthyError

_NICENESS = 5  # pages answer while it works
END_SECONDS = 2.0  # seconds that a process gets to end
_SAFE_PATH = ("PYTHONSAFEPATH", "lab")  # any value switches it on
_starting = threading.Lock()
_running_children: set[Any] = set()


def start_child(
    name: str, target: Callable[..., None], *given: Any, duplex: bool = True
) -> tuple[Any, Connection]:
    """Start `target(pipe, *given)` in a process; return the process and our end of the pipe."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex)
    process = context.Process(target=target, args=(theirs, *given), name=name, daemon=True)
    with _starting:  # else it imports from the folder in which the lab started
        os.environ.setdefault(*_SAFE_PATH)
        process.start()
        _leave_safe_path()
    theirs.close()  # so that reading ends when the process does
    return process, ours


def _leave_safe_path() -> None:
    """Let commands of the user import from their own folder again, unless the user said no."""
    if _SAFE_PATH in os.environ.items():
        del os.environ[_SAFE_PATH[0]]


def begin_as_child() -> None:
    """Ignore Ctrl-C, which the server handles, and lower this process's priority."""
    _leave_safe_path()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(_NICENESS)


def call_in_child(seconds: float, function: Callable[..., Any], *given: Any) -> Any:
    """Return the result of a function that is called in a child process.

    Arguments and result must be picklable. Raises the TuneworthyError that it raises; Problem: 504
    if it takes longer, 500 if the process dies or the function fails in another way.
    """
    process, ours = start_child("lab call", _call_and_send, function, given, duplex=False)
    _running_children.add(process)
    try:
        if not ours.poll(seconds):
            raise Problem(504, "this takes too long", got=f"over {seconds:.0f} s",
                          fix="use the command in a terminal: it has no limit")  # fmt: skip
        kind, value = ours.recv()
    except (EOFError, OSError):
        raise Problem(500, "the process ended before it answered", got=how_it_ended(process),
                      fix="try again, or use the command in a terminal") from None  # fmt: skip
    finally:
        _running_children.discard(process)
        ours.close()
        if process.is_alive():
            process.kill()
        process.join(END_SECONDS)
    if kind == "value":
        return value
    raise error_from_parts(kind, value)


def end_children() -> None:
    """Kill all running child processes, so that a server can end without waiting for them."""
    for process in tuple(_running_children):
        process.kill()


def how_it_ended(process: Any) -> str:
    """Return in words how a process ended that should still be running."""
    process.join(END_SECONDS)
    code = process.exitcode
    if code is not None and code < 0:
        why = " (often: no memory left)" if code == -signal.SIGKILL else ""
        return f"the worker process was ended by {signal.Signals(-code).name}{why}"
    return f"the worker process ended with exit code {code}"


def error_parts(error: Exception) -> tuple[str, Any]:
    """Return (class name or "", parts or text) of an error, which can cross a pipe."""
    if isinstance(error, TuneworthyError):
        parts = {name: getattr(error, name) for name in ("what", "where", "got", "fix", "kept")}
        return type(error).__name__, parts
    return "", f"{type(error).__name__}: {error}"


def error_from_parts(kind: str, value: Any) -> Exception:
    """Return the error that `error_parts` took apart: one of ours, else a Problem (500)."""
    raised = getattr(errors, kind, None) if kind else None
    if isinstance(raised, type) and issubclass(raised, TuneworthyError):
        return raised(value.pop("what"), **value)
    return Problem(500, "this failed", got=str(value), fix="use the command in a terminal")


def _call_and_send(pipe: Connection, function: Callable[..., Any], given: tuple[Any, ...]) -> None:
    begin_as_child()
    try:
        said = ("value", function(*given))
    except Exception as error:
        said = error_parts(error)
    with suppress(BrokenPipeError):
        pipe.send(said)
