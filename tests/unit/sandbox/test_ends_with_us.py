"""D10: metric processes, and whatever they started, end with the process that wanted them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuneworthy.sandbox import child as sandbox_child
from tuneworthy.sandbox.child import Child, TimedOut

SCORE = """
import os, subprocess, sys
def score(case, answer):
    away = answer.endswith(" away")
    answer = answer.removesuffix(" away")
    child = subprocess.Popen(["sleep", "120"], start_new_session=away)
    with open(case, "w") as out:
        out.write(f"{os.getpid()} {child.pid}")
    if answer == "loop":
        while True: pass
    if answer == "pattern":
        __import__("re").match("(a+)+$", "a" * 60 + "b")
    if answer == "die":
        os._exit(3)
    return 1.0
"""
PARENT = """
import sys
from pathlib import Path
from tuneworthy.sandbox.child import Child
order = {"source": sys.argv[1], "path": "/x/score.py", "name": "score"}
child = Child(order, folder=Path("/"), seconds=60, memory=1 << 30)
child.call(sys.argv[2], sys.argv[3])
print("scored", flush=True)
sys.stdin.read()
"""


def running(pid: int) -> bool:
    """Return whether a process runs; one that nobody reaped yet runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ended(pids: list[int], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(map(running, pids)):
            return True
        time.sleep(0.02)
    return False


def noted(path: Path, seconds: float = 20.0) -> list[int]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and len(found := path.read_text().split()) == 2:
            return list(map(int, found))
        time.sleep(0.02)
    raise AssertionError("the metric did not start")


@pytest.mark.parametrize("answer", ["done", "loop", "pattern"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_d10_a_metric_and_what_it_started_end_when_we_are_killed(answer, how, tmp_path):
    words = [sys.executable, "-c", PARENT, SCORE, str(tmp_path / "pids"), answer]
    parent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pids = noted(tmp_path / "pids")
    if answer == "done":
        assert parent.stdout.readline() == b"scored\n"
    assert all(map(running, pids))
    os.kill(parent.pid, how)
    parent.wait()
    assert ended(pids)


def test_what_a_metric_started_ends_although_the_worker_saw_the_end_first(tmp_path):
    """A worker that ended by itself once left its child: the kernel had nobody to send a signal."""
    order = {"source": SCORE, "path": "/x/score.py", "name": "score"}
    child = Child(order, folder=Path("/"), seconds=60, memory=1 << 30)
    assert child.call(str(tmp_path / "pids"), "done") == 1.0
    child._process.stdin.close()  # as at the end of its parent, whose other pipe is still open
    assert ended(noted(tmp_path / "pids"))
    child.stop()


@pytest.mark.parametrize("answer", ["done", "loop", "die", "done away", "loop away", "die away"])
def test_d10_a_stopped_metric_takes_its_processes_along(answer, tmp_path):
    order = {"source": SCORE, "path": "/x/score.py", "name": "score"}
    child = Child(order, folder=Path("/"), seconds=1.0, memory=1 << 30)
    try:
        child.call(str(tmp_path / "pids"), answer)
    except TimedOut:
        assert answer.startswith("loop")
    except Exception:
        assert answer.startswith("die")
    pids = noted(tmp_path / "pids")
    child.stop()
    assert ended(pids)


def test_a_process_that_shows_no_environment_yet_is_looked_at_again():
    """One that had just been started was once missed, and stayed."""
    starting = subprocess.Popen(["sleep", "0.2"], env={})
    sandbox_child._kill_marked(b"TUNEWORTHY_SANDBOX=none", sandbox_child._start_ticks(os.getpid()))
    assert not running(starting.pid), "it was waited for"
    starting.wait()


def test_d10_a_metric_that_ended_by_itself_is_started_again(tmp_path):
    order = {"source": SCORE, "path": "/x/score.py", "name": "score"}
    child = Child(order, folder=Path("/"), seconds=20.0, memory=1 << 30)
    assert child.call(str(tmp_path / "one"), "done") == 1.0
    first = noted(tmp_path / "one")
    os.kill(first[0], signal.SIGKILL)
    assert ended(first[:1])
    assert child.call(str(tmp_path / "two"), "done") == 1.0
    assert ended(first), "what the first one had started is gone too"
    child.stop()
    assert ended(noted(tmp_path / "two"))
