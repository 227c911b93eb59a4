"""Fault injection for the crash tests: die, fail or stop at the k-th durable step.

Independent of the store. `TW_FAILPOINT=name:k:action` acts on the k-th pass through a failpoint
with a matching name (`*` matches all, `put.*` both sides of a put); `k+` acts from the k-th on.
Actions: `kill` (SIGKILL), `term` (SIGTERM), `raise` (the disk is full), `note` (only the line on
stderr), or the name of an errno (`EIO`, `EROFS`, `EMFILE`, ...). If it is unset, a failpoint costs
one look-up.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from fnmatch import fnmatchcase

from tuneworthy.records.errors import TaskError

_FAILPOINT_VARIABLE = "TW_FAILPOINT"
_times_passed: dict[str, int] = {}
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Perform the action of `TW_FAILPOINT` for this step, if any.

    Raises OSError if the action is `raise` or an errno name; TaskError if it can't be parsed.
    """
    if spec := os.environ.get(_FAILPOINT_VARIABLE):
        _perform_action(name, spec)


def _perform_action(name: str, spec: str) -> None:
    pattern, when, action = _parse_failpoint(spec)
    if not fnmatchcase(name, pattern):
        return
    with _lock:
        _times_passed[spec] = count = _times_passed.get(spec, 0) + 1
    wanted = int(when.removesuffix("+"))
    if count != wanted and not (when.endswith("+") and count > wanted):
        return
    # The test harness reads this line to know which step the process died in.
    os.write(2, f"failpoint {name} {count} {action}\n".encode())
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    elif action != "note":
        code = errno.ENOSPC if action == "raise" else getattr(errno, action)
        raise OSError(code, f"{os.strerror(code)} (planted at {name})")


def _parse_failpoint(spec: str) -> tuple[str, str, str]:
    parts = spec.rsplit(":", 2)
    known = len(parts) == 3 and (
        parts[2] in {"kill", "term", "raise", "note"}
        or isinstance(getattr(errno, parts[2], None), int)
    )
    if not known or not parts[1].removesuffix("+").isdecimal():
        raise TaskError(
            "a failpoint that can't be read",
            where=f"environment variable {_FAILPOINT_VARIABLE}",
            got=spec,
            fix="write name:k:action, as in `put.before:3:kill`, or unset the variable",
        )
    return parts[0], parts[1], parts[2]
