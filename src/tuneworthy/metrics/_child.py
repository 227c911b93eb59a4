"""A long-lived child process that runs one function, killed and started again on timeout.

The child gets no key and no path of ours from the environment, no network, limited memory and
limited time (see _worker.py). It is started anew after a fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

_WORKER = Path(__file__).with_name("_worker.py")
_START_SECONDS = 30.0
_LONGEST_LINE = 1_000_000
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "SYSTEMROOT")


class ChildFailed(Exception):
    """A call in the child gave no value; the text says why."""


class TimedOut(ChildFailed):
    """A call ran past its seconds and the child was killed."""


class Child:
    """A child process for one function; `call(*args)` returns its value or raises ChildFailed.

    `longest` is the most bytes of an answer.
    """

    def __init__(
        self,
        order: dict[str, Any],
        *,
        folder: Path,
        seconds: float,
        memory: int,
        longest: int = _LONGEST_LINE,
    ) -> None:
        self._order = {**order, "memory": memory}
        self._folder, self._seconds, self._longest = folder, seconds, longest
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self.network = ""

    def start(self) -> None:
        """Start the child if it does not run. Raises ChildFailed where the code can't be loaded."""
        if self._process and self._owner == os.getpid() and self._process.poll() is None:
            return
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-X", "utf8", str(_WORKER)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=self._folder, start_new_session=True,
            env={**kept, **threads, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        self._owner = os.getpid()
        weakref.finalize(self, _end, self._process, self._owner)
        hello = self._exchange(self._order, _START_SECONDS)
        if "fatal" in hello:
            self.stop()
            raise ChildFailed(str(hello["fatal"]))
        self.network = str(hello.get("network", ""))

    def call(self, *args: Any) -> Any:
        """Return what the function returns: None, a float or a text."""
        with self._lock:
            self.start()
            answer = self._exchange({"args": args, "seconds": self._seconds}, self._seconds)
        if "error" in answer:
            raise ChildFailed(str(answer["error"]))
        return answer.get("value")

    def stop(self) -> None:
        """End the child."""
        if self._process:
            _end(self._process, self._owner)
            self._process = None

    def _exchange(self, order: dict[str, Any], seconds: float) -> dict[str, Any]:
        process = self._process
        assert process
        assert process.stdin
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            pass  # the child is gone; reading says how
        line = self._line(process, time.monotonic() + seconds)
        try:
            answer = json.loads(line)
        except ValueError:
            self.stop()
            raise ChildFailed("the child process sent no readable line") from None
        return answer if isinstance(answer, dict) else {}

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        assert process.stdout
        got = b""
        while not got.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                self.stop()
                raise TimedOut(f"ran longer than {self._seconds:g} s and was stopped")
            part = os.read(process.stdout.fileno(), 65536)
            if not part or len(got) > self._longest:
                self.stop()
                raise ChildFailed(f"its process ended by itself (code {process.returncode})")
            got += part
        return got


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    if owner != os.getpid():  # after a fork the child belongs to the parent
        return
    with contextlib.suppress(OSError):
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe:
                pipe.close()
