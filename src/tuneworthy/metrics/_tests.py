"""Run a row's tests on an answer's code in a child process.

Code written by a model is untrusted: it runs only if the task file says `run: true`. The child has
limited time and memory, no network, and an audit hook that refuses to write files and to start
processes. That is no full sandbox: with a model you do not trust, run tuneworthy in a container.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tuneworthy.sandbox.child import Child, ChildFailed

MEMORY = 1024**3
_TEST_RUNNER = '''
import sys

ALLOWED = {"os.listdir", "os.scandir", "os.putenv", "os.unsetenv", "os.walk"}
STOPPED = ("os.", "subprocess.", "shutil.", "socket.", "ctypes.", "pty.", "signal.", "ftplib.")


def hook(event, args):
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        raise PermissionError("the code of an answer writes no files")
    if event == "open" and args[1] is None and args[2] & 3:
        raise PermissionError("the code of an answer writes no files")
    if event.startswith(STOPPED) and event not in ALLOWED:
        raise PermissionError(f"the code of an answer may not call {event}")


def run(code, tests):
    """Return how many tests hold, as a number; each sees the names that the code defined."""
    sys.addaudithook(hook)
    names = {"__name__": "answer"}
    exec(compile(code, "answer", "exec"), names)
    held = 0
    for test in tests:
        try:
            exec(compile(test, "test", "exec"), dict(names))
            held += 1
        except Exception:
            pass
    return held
'''


def count_passed(code: str, tests: Sequence[str], seconds: float) -> tuple[int, str]:
    """Return how many tests pass (0 if the code itself fails), and why the run failed, else "".

    `seconds` limits all tests together. Each test is Python that raises if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        order = {"source": _TEST_RUNNER, "path": str(Path(folder) / "run.py"), "name": "run"}
        child = Child(order, folder=Path(folder), seconds=seconds, memory=MEMORY)
        try:
            return int(child.call(code, list(tests))), ""
        except ChildFailed as error:
            return 0, str(error)
        finally:
            child.stop()
