"""Run one function in a long-lived child process, which is killed on timeout and started again.

The child gets only the environment variables in _KEPT_VARIABLES, no network, limited memory and
limited time (see _worker.py). It is restarted after a fork. It leads its own process group: its
descendants are killed with it when it is stopped and when this process ends, also by SIGKILL. Those
that left the group (setsid) are known by a mark in their environment; they are killed when it is
stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

_WORKER = Path(__file__).with_name("_worker.py")
_START_SECONDS = 30.0
_LONGEST_REPLY_BYTES = 1_000_000
_MARK_VARIABLE = "TUNEWORTHY_SANDBOX"
_MOST_KILL_SECONDS, _KILL_PAUSE = 1.0, 0.002
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "SYSTEMROOT")


class ChildFailed(Exception):
    """Raised if a call in the child returned no value; the text is the reason."""


class TimedOut(ChildFailed):
    """Raised if a call exceeded its time limit, and the child was killed."""


class Child:
    """A child process for one function; `call(*args)` returns its value or raises ChildFailed.

    `order` holds the function's source, or a schema (see _worker.py). `seconds` limits a call,
    `start` the loading; `longest` is the most bytes of a reply.
    """

    def __init__(
        self,
        order: dict[str, Any],
        *,
        folder: Path,
        seconds: float,
        memory: int,
        start: float = _START_SECONDS,
        longest: int = _LONGEST_REPLY_BYTES,
    ) -> None:
        self._order = {**order, "memory": memory}
        self._folder, self._seconds, self._start = folder, seconds, start
        self._longest = longest
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self.network = ""

    def start(self) -> None:
        """Start the child if it is not running. Raises ChildFailed if the code can't be loaded."""
        if self._process and self._owner == os.getpid():
            if not _has_ended(self._process):
                return
            self.stop()  # kills its remaining descendants as well
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        mark = f"{_MARK_VARIABLE}={secrets.token_hex(16)}"
        watched, life = os.pipe()  # `life` closes when this process ends, however it ends
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-X", "utf8", str(_WORKER), str(watched)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                cwd=self._folder, start_new_session=True, pass_fds=(watched,),
                env={**kept, **threads, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
                     _MARK_VARIABLE: mark.partition("=")[2]},
            )  # fmt: skip
        except BaseException:
            os.close(life)
            raise
        finally:
            os.close(watched)
        self._owner = os.getpid()
        self._finalizer = weakref.finalize(
            self, _kill_group, self._process, self._owner, life, mark.encode()
        )
        hello = self._exchange(self._order, self._start)
        if "fatal" in hello:
            self.stop()
            raise ChildFailed(str(hello["fatal"]))
        self.network = str(hello.get("network", ""))

    def call(self, *args: Any) -> Any:
        """Return the function's value for these arguments: None, a float or a text."""
        with self._lock:
            self.start()
            answer = self._exchange({"args": args, "seconds": self._seconds}, self._seconds)
        if "error" in answer:
            raise ChildFailed(str(answer["error"]))
        return answer.get("value")

    def stop(self) -> None:
        """Kill the child process and its descendants, if it runs."""
        if self._process:
            self._finalizer()
            self._process = None

    def _exchange(self, order: dict[str, Any], seconds: float) -> dict[str, Any]:
        process = self._process
        assert process
        assert process.stdin
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            pass  # the child is gone; the read below reports how
        line = self._read_line(process, seconds)
        try:
            answer = json.loads(line)
        except ValueError:
            self.stop()
            raise ChildFailed("the child process sent no readable line") from None
        return answer if isinstance(answer, dict) else {}

    def _read_line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        assert process.stdout
        deadline = time.monotonic() + seconds
        got = b""
        while not got.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                self.stop()
                raise TimedOut(f"ran longer than {seconds:g} s and was stopped")
            part = os.read(process.stdout.fileno(), 65536)
            if not part or len(got) > self._longest:
                self.stop()  # which reads the exit code
                raise ChildFailed(f"its process ended by itself (code {process.returncode})")
            got += part
        return got


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process has ended, without reaping it.

    As a zombie it keeps the number of its group, so no other group can get it.
    """
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _kill_marked(mark: bytes, since: int) -> None:
    """Kill every process whose environment holds this mark, and repeat until none is left.

    A process that is just starting a program shows no environment yet. Where such a one began at
    `since` (clock ticks) or later, look again; for a second at most.
    """
    end = time.monotonic() + _MOST_KILL_SECONDS
    while time.monotonic() < end:
        left = False
        for place in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                content = place.read_bytes()
                if mark in content.split(b"\0"):
                    os.kill(int(place.parent.name), signal.SIGKILL)
                    left = True
                elif not content and (place.parent / "exe").readlink():  # no kernel thread
                    left = left or _start_ticks(place.parent.name) >= since
        if not left:
            return
        time.sleep(_KILL_PAUSE)


def _start_ticks(pid: int | str) -> int:
    """Return when a process began, in clock ticks since the machine's start; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def _kill_group(process: subprocess.Popen[bytes], owner: int, life: int, mark: bytes) -> None:
    if owner != os.getpid():  # after a fork the child belongs to the parent
        return
    since = _start_ticks(process.pid)
    if process.returncode is None:  # not reaped yet, so no other group can have its number
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    _kill_marked(mark, since)
    process.wait()
    with contextlib.suppress(OSError):
        os.close(life)
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe:
                pipe.close()
