"""Ctrl-C ends a command with 130 and one line, at every moment of its life. Imports nothing heavy.

Python raises KeyboardInterrupt wherever the program is. Inside an import or a `__del__` that is too
early or is swallowed, and a trace-back is all that is seen; there the process ends at once. The
ledger loses nothing by that (it is written for `kill -9`). `run` and `settle` use
`ledger/signals.py` as soon as they work.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

SAID = b"stopped; `tuneworthy run` continues where it stopped\n"


def at_once() -> None:
    """From now on Ctrl-C ends the process at once (while it starts and while it ends)."""
    _take(_end)


def politely() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, where that can be caught."""
    _take(_raise)


def _take(handler: signal._HANDLER) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # `nohup`, or a job in background
        signal.signal(signal.SIGINT, handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    try:
        os.write(2, SAID)
    finally:
        os._exit(130)


def _raise(number: int, frame: FrameType | None) -> None:
    at = frame
    while at is not None:
        code = at.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
            _end(number, frame)
        at = at.f_back
    raise KeyboardInterrupt
