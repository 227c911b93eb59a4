"""Running the tests of a row on an answer's code, in a child process of its own.

Code of a model is code of nobody: it runs only where the task file says `run: true`. The child has
limited time and memory, no network, and a hook that refuses to write files and to start processes.
That is a fence and no jail: who does not trust the model runs tuneworthy in a container.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tuneworthy.sandbox.child import Child, ChildFailed

MEMORY = 1024**3
_SOURCE = '''
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


def passed(code: str, tests: Sequence[str], seconds: float) -> tuple[int, str]:
    """Return how many tests hold (0 where the code itself fails), and why not, or "".

    `seconds` are those of all tests together. Each test is Python that raises where it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        order = {"source": _SOURCE, "path": str(Path(folder) / "run.py"), "name": "run"}
        child = Child(order, folder=Path(folder), seconds=seconds, memory=MEMORY)
        try:
            return int(child.call(code, list(tests))), ""
        except ChildFailed as error:
            return 0, str(error)
        finally:
            child.stop()
