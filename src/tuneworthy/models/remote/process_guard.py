"""Start a process that ends with this one at the latest, and the program that guards it.

The program runs the command as its child and ends it once standard input is closed. Standard input
is a pipe from this process, so it is closed however this process ends, SIGKILL included. Processes
that the command started end with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GUARD_SECONDS = 20.0  # seconds between asking the command to end and killing it
LOG_LINES = 12  # lines of the log in an error


@dataclass(frozen=True)
class GuardedProcess:
    """The guard of a command that runs: the file of its output, and the guard's process."""

    log: Path
    process: subprocess.Popen[bytes]

    @staticmethod
    def start(
        command: Sequence[str],
        log: Path,
        *,
        folder: Path | None = None,
        more: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command under a guard, output to `log`; return the guard's process."""
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-I", __file__, *command],
                stdin=subprocess.PIPE, stdout=file, stderr=file, start_new_session=True,
                cwd=folder, env={**os.environ, **(more or {})},
            )  # fmt: skip

    def last_lines(self) -> str:
        """Return the last lines of the command's output."""
        text = self.log.read_text("utf-8", "replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-LOG_LINES:])

    def stop(self) -> None:
        """End the command and the processes it started. Can be called again."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()  # the guard then ends the command
        try:
            self.process.wait(GUARD_SECONDS + 5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def main() -> None:
    """Run the command in `sys.argv`; exit with its exit code."""
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # reaches the whole process group, with the command
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_default_signals)
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    code = child.wait()
    os.killpg(0, signal.SIGTERM)  # processes that the command started and left behind
    os._exit(code if code >= 0 else 128 - code)  # the thread still waits for our input


def _default_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGTERM)
    try:
        child.wait(GUARD_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
