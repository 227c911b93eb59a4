"""The commands, one a module: each parses, calls and prints. `_frame` maps errors to exit codes."""

from __future__ import annotations

import sys

from tuneworthy.cli import _frame


def main() -> None:
    """Run the command line; every failure ends in the documented exit code, never a traceback."""
    _frame.end_on_interrupt()
    from tuneworthy.cli._frame import run

    try:
        _frame.raise_on_interrupt()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # at the start, or while an error message was printed
        code = 130
    _frame.end_on_interrupt()
    sys.exit(code)
