"""One command a file: parse, call, print. `main` finds the files and maps errors to exit codes."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; every failure ends in the documented exit code, never a trace-back."""
    from tuneworthy.cli._frame import run

    sys.exit(run(sys.argv[1:]))
