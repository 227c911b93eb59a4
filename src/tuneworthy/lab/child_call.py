"""Call a function in a child process with a time limit; an error in it is raised here.

For work on files that other programs wrote: its memory is freed when the process ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from tuneworthy.core import errors
from tuneworthy.core.errors import TuneworthyError
from tuneworthy.lab.problem import Problem

NICENESS = 5  # pages answer while it works
END_SECONDS = 2.0  # seconds that a process gets to end
_running_children: set[Any] = set()


def call_in_child(seconds: float, function: Callable[..., Any], *given: Any) -> Any:
    """Return the result of a function that is called in a child process.

    Arguments and result must be picklable. Raises the TuneworthyError that it raises; Problem: 504
    if it takes longer, 500 if the process dies or the function fails in another way.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call_and_send, args=(theirs, function, given), daemon=True)
    process.start()
    _running_children.add(process)
    theirs.close()  # so that reading ends when the process does
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
    """Return an error as (kind, parts), which can cross a pipe; see `error_from_parts`."""
    if isinstance(error, TuneworthyError):
        parts = {name: getattr(error, name) for name in ("what", "where", "got", "fix", "kept")}
        return type(error).__name__, parts
    return "", f"{type(error).__name__}: {error}"


def error_from_parts(kind: str, value: Any) -> Exception:
    """Return the error from its parts by `error_parts`: one of ours, else a Problem (500)."""
    raised = getattr(errors, kind, None) if kind else None
    if isinstance(raised, type) and issubclass(raised, TuneworthyError):
        return raised(value.pop("what"), **value)
    return Problem(500, "this failed", got=str(value), fix="use the command in a terminal")


def _call_and_send(pipe: Connection, function: Callable[..., Any], given: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches this process too: the server acts
    with suppress(OSError):
        os.nice(NICENESS)
    try:
        said = ("value", function(*given))
    except Exception as error:
        said = error_parts(error)
    with suppress(BrokenPipeError):
        pipe.send(said)
