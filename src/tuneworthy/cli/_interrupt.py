"""End a command on Ctrl-C with exit code 130 and one line, at any moment. Imports nothing slow.

Python raises KeyboardInterrupt wherever the program is. During an import or in a `__del__` it would
be too early to catch or be swallowed, leaving only a traceback; there the process ends at once. The
ledger loses nothing (it is written for `kill -9`). `run` and `settle` switch to
`ledger/signals.py` as soon as they work.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

STOPPED_MESSAGE = b"stopped; `tuneworthy run` continues where it stopped\n"


def end_on_interrupt() -> None:
    """Make Ctrl-C end the process at once (during start-up and exit)."""
    _install_handler(_exit_at_once)


def raise_on_interrupt() -> None:
    """Make Ctrl-C raise KeyboardInterrupt where that can be caught."""
    _install_handler(_raise_or_exit)


def _install_handler(handler: signal._HANDLER) -> None:
    try:
        if (
            signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        ):  # ignored: `nohup`, background job
            signal.signal(signal.SIGINT, handler)
    except KeyboardInterrupt:  # Ctrl-C just before the handler is there
        _exit_at_once(signal.SIGINT, None)


def _exit_at_once(_number: int, _frame: FrameType | None) -> None:
    try:
        os.write(2, STOPPED_MESSAGE)
    finally:
        os._exit(130)


def _raise_or_exit(number: int, frame: FrameType | None) -> None:
    at = frame
    while at is not None:
        code = at.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
            _exit_at_once(number, frame)
        at = at.f_back
    raise KeyboardInterrupt
