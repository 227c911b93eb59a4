"""Kill a command at every durable step, resume it, compare what it wrote with an unkilled run.

    kills = kill_everywhere(command, fresh, output)   # the k-th step for k = 1, 2, ... to the end
    kills = kill_chain(command, folder, output, want) # one folder, killed again and again

`command` is a list of words as a function of the folder (run as a process), or a function of the
folder (run in a forked child, which is much faster: imports are paid once).
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "TW_FAILPOINT"
Command = Callable[[Path], list[str] | None]


@dataclass(frozen=True)
class Kill:
    """One kill: where it struck, and how often it had to be resumed until the command was done."""

    k: int
    step: str
    resumes: int

    @property
    def in_flight(self) -> bool:
        """Whether something was written and not yet committed when the process died."""
        return self.step.endswith((".before", ".files", ".move"))


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (negative: the signal) and what it wrote to stderr."""

    code: int
    stderr: str

    @property
    def step(self) -> str:
        """The failpoint that struck, "" if none did."""
        hits = [line.split()[1] for line in self.stderr.splitlines() if line[:10] == "failpoint "]
        return hits[0] if hits else ""


class Zygote:
    """A process that has imported all it needs and forks a child a run; use it as a context."""

    def __init__(self, script: Path, *words: str) -> None:
        self._words = [sys.executable, str(script), *words]

    def __enter__(self) -> "Zygote":
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._words, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)

    def run(self, folder: Path, spec: str) -> Ended:
        """Run once in a child, with a failpoint set or none."""
        print(
            json.dumps({"folder": str(folder), "spec": spec}), file=self._process.stdin, flush=True
        )
        return Ended(**json.loads(self._process.stdout.readline()))


def run(
    command: Command, folder: Path, spec: str = "", timeout: float = 600, variable: str = VARIABLE
) -> Ended:
    """Run a command once, with a failpoint set or none; `variable` is where `spec` is written."""
    if isinstance(command, Zygote):
        return command.run(folder, spec)
    words = None if getattr(command, "forked", False) else command(folder)
    if words is None:
        return _forked(command, folder, spec, variable)
    environment = {name: value for name, value in os.environ.items() if name != variable}
    environment |= {variable: spec} if spec else {}
    done = subprocess.run(
        words, env=environment, cwd=folder, capture_output=True, text=True, timeout=timeout
    )
    return Ended(done.returncode, done.stderr)


def durable_steps(command: Command, folder: Path) -> list[str]:
    """Run a command unhurt; return the name of every durable step it passed, in order."""
    ended = run(command, folder, "*:1+:note")
    assert ended.code == 0, ended.stderr
    return [line.split()[1] for line in ended.stderr.splitlines() if line[:10] == "failpoint "]


def forked(function: Callable[[Path], object]) -> Command:
    """Mark a function to be run in a forked child of this process."""
    function.forked = True  # type: ignore[attr-defined]
    return function  # type: ignore[return-value]


def kill_everywhere(
    command: Command,
    fresh: Callable[[], Path],
    output: str,
    *,
    ok: frozenset[int] = frozenset({0}),
    steps: Callable[[int], bool] = lambda k: True,
    plain: Callable[[bytes], bytes] = bytes,
    limit: int = 2000,
) -> list[Kill]:
    """Kill at the k-th durable step, k = 1.. until the command completes; assert equal output.

    `fresh()` gives a new folder each time; `output` is a path inside it; `ok` the exit codes that
    count as done; `steps(k)` chooses which k to run (to spread them over sessions); `plain` takes
    out of the output what may differ (times).
    """
    first = fresh()
    ended = run(command, first)
    assert ended.code in ok, ended.stderr
    want, code = plain((first / output).read_bytes()), ended.code
    kills = []
    for k in (k for k in range(1, limit) if steps(k)):
        folder = fresh()
        ended = run(command, folder, f"*:{k}:kill")
        if ended.code in ok:
            assert plain((folder / output).read_bytes()) == want, f"unkilled run {k} differs"
            return kills
        assert ended.code == -signal.SIGKILL, ended.stderr
        kills.append(Kill(k, ended.step, 1))
        ended = run(command, folder)
        assert ended.code == code, f"resume after {kills[-1]}: {ended.code}\n{ended.stderr}"
        assert plain((folder / output).read_bytes()) == want, f"after {kills[-1]} it differs"
    raise AssertionError(f"the command did not complete in {limit} steps")


def kill_chain(
    command: Command, folder: Path, output: str, want: bytes, gaps: Iterator[int], limit: int = 500
) -> list[Kill]:
    """Kill one study again and again, after `next(gaps)` steps each, until it completes."""
    kills: list[Kill] = []
    for turn in range(limit):
        k = next(gaps)
        ended = run(command, folder, f"*:{k}:kill")
        if ended.code == 0:
            assert (folder / output).read_bytes() == want, f"after {kills} it differs"
            return kills
        assert ended.code == -signal.SIGKILL, ended.stderr
        kills.append(Kill(k, ended.step, turn + 1))
    raise AssertionError(f"no end after {limit} kills")


def _forked(function: Command, folder: Path, spec: str, variable: str) -> Ended:
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(errors.fileno(), 2)
                os.environ.pop(variable, None)
                if spec:
                    os.environ[variable] = spec
                function(folder)
                code = 0
            except BaseException:
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        errors.seek(0)
        return Ended(os.waitstatus_to_exitcode(status), errors.read().decode("utf-8", "replace"))
