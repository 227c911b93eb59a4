"""Program that runs a server as its child process and ends it once standard input is closed.

Standard input is a pipe from the process that needs the server, so it is closed however that
process ends, SIGKILL included. Processes that the server started end with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GUARD_SECONDS = 20.0  # seconds between asking the server to end and killing it


def main() -> None:
    """Run the command in `sys.argv`; exit with its exit code."""
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # reaches the whole process group, with the server
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_default_signals)
    threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    code = server.wait()
    os.killpg(0, signal.SIGTERM)  # processes that the server started and left behind
    os._exit(code if code >= 0 else 128 - code)  # the thread still waits for our input


def _default_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_with_input(server: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGTERM)
    try:
        server.wait(GUARD_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
