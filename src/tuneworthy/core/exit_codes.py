"""The exit codes of the command line and their meanings, which `run --help` prints."""

from __future__ import annotations

from collections.abc import Mapping

EXIT_CODES: dict[int, str] = {
    0: "done; of a study: a verdict, and the target is met or none is set",
    1: "a failure of the run, a study that `report --recompute` finds changed, or a bug of ours",
    2: "the command line or the task file is wrong",
    3: "a verdict: the target is missed, or not shown to be met; `check --run`: a failure is found",
    4: (
        "blocked, or provisional under --require-firm; `build`: an exported form failed its check;"
        " `check --run`: nothing to measure"
    ),
    5: "rows are refused",
    6: "a hard cap on money or tokens is reached (resumable)",
    7: "the store is busy, full, damaged or cannot be written",
    130: "stopped by Ctrl-C (resumable)",
    141: "the reader of the output closed it",
    143: "stopped by SIGTERM or SIGHUP (resumable)",
}


def exit_code_lines(meanings: Mapping[int, str]) -> str:
    """Return a list of exit codes for the end of a help text, one a line."""
    lines = [f"  {code:>3}  {meaning}" for code, meaning in meanings.items()]
    return "\n".join(["\b", "Exit codes:", *lines])  # click keeps the lines of a block after \b
