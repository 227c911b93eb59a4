"""P13, P1: the n-th system call on a study's files fails, for every n of a small study and build.

A preloaded library (`fail_call.c`) counts writes, syncs, openings, renames, removals and sizes
below the folder, those of SQLite too, and fails or kills at the n-th. Afterwards the same commands
run on a sound disk: the verdict must be that of an unhurt run, and no unit may run again.
"""

import errno
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from tests import studies
from tests.faults.killing import Zygote

from tuneworthy.store.store import open_ledger

HERE = Path(__file__).parent
SMALL = {"arms": ["present", "majority", "tfidf", "zero_shot"],
         "data": {"file": "rows.jsonl", "folds": 2}}  # fmt: skip
COMMANDS = [["run", "--brief"], ["build", "--arm", "tfidf"], ["report"]]
DONE, STORE = (0, 3), 7
OUR_BUG = re.compile(r"Traceback|this is a bug|issue text")


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for fail_call.c")
    made = tmp_path_factory.mktemp("library") / "fail_call.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", made, HERE / "fail_call.c", "-ldl"],
                   check=True)  # fmt: skip
    return made


@pytest.fixture
def runner(library, monkeypatch):
    """A process that runs the commands under the library, a child each time."""
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    process = Zygote(HERE / "command_study.py", json.dumps(COMMANDS))
    with process:
        monkeypatch.delenv("LD_PRELOAD")
        yield process


class Study:
    """Fresh folders of one study, and what an unhurt run of it leaves."""

    def __init__(self, runner, folder):
        self.runner, self.folder, self.number = runner, folder, 0
        self.first = self.fresh()
        ended = runner.run(self.first, "any:1:0")
        assert ended.code in DONE, ended.stderr
        self.code, self.want = ended.code, self.left(self.first)
        assert self.want[2], "nothing was built"
        told = Path(f"{self.first}-struck").read_text().splitlines()
        self.calls = Counter(line.split()[1] for line in told)

    def fresh(self):
        self.number += 1
        folder = self.folder / str(self.number) / "study"
        studies.write(folder, n=30, **SMALL)
        return folder

    def left(self, folder):
        """Return (verdict without times, the units that ran, the hash of what was built)."""
        verdict = next((folder / "results").glob("*/verdict.json"))
        with open_ledger(folder, write=False) as ledger:
            assert ledger.verify() > 0
            units = [row.name for row in ledger.journal.rows("unit")]
        assert len(units) == len(set(units)), "a finished unit ran again"
        built = sorted(path.parent.name for path in folder.rglob("artefact.json"))
        return studies.timeless(verdict.read_bytes()), units, built

    def hurt(self, spec):
        """Run once with a fault and once without; return how the first ended."""
        folder = self.fresh()
        ended = self.runner.run(folder, spec)
        assert ended.code in (*DONE, STORE, -9), f"{spec}: {ended.code}\n{ended.stderr[-1500:]}"
        assert not OUR_BUG.search(ended.stderr), f"{spec}\n{ended.stderr[-1500:]}"
        again = self.runner.run(folder, "")
        assert again.code == self.code, f"after {spec}: {again.code}\n{again.stderr[-1500:]}"
        assert self.left(folder) == self.want, f"after {spec} it differs"
        shutil.rmtree(folder.parent)
        return ended.code


@pytest.fixture
def study(runner, tmp_path):
    return Study(runner, tmp_path)


def loop(study, kind, action, often="", stride=1):
    ends = Counter()
    for n in range(1, study.calls[kind] + 1, stride):
        ends[study.hurt(f"{kind}:{n}{often}:{action}")] += 1
    print(json.dumps({"kind": kind, "action": action, "often": often or "once", "ends": ends}))
    return ends


ERRORS = {"write": "ENOSPC", "sync": "EIO", "open": "EMFILE", "rename": "EIO", "remove": "EACCES",
          "size": "EIO", "folder": "ENOSPC"}  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("kind", ERRORS)
def test_p13_a_call_that_fails_ends_cleanly_and_loses_nothing(study, kind):
    stride = max(1, study.calls[kind] // 6)
    ends = loop(study, kind, getattr(errno, ERRORS[kind]), stride=stride)
    assert kind in ("remove", "size", "folder") or ends[STORE], "no fault was noticed"


@pytest.mark.long
@pytest.mark.parametrize("often", ["", "+"])
@pytest.mark.parametrize("kind", ERRORS)
def test_p13_every_call_that_fails_ends_cleanly_and_loses_nothing(study, kind, often):
    loop(study, kind, getattr(errno, ERRORS[kind]), often)


@pytest.mark.full
def test_p1_killed_at_some_system_calls_the_verdict_is_the_same(study):
    total = sum(study.calls.values())
    assert loop_any(study, total, max(1, total // 12))[-9] >= 6


@pytest.mark.long
def test_p1_killed_at_every_third_system_call_the_verdict_is_the_same(study):
    total = sum(study.calls.values())
    assert loop_any(study, total, 3)[-9] >= total / 4


def loop_any(study, total, stride):
    study.calls["any"] = total
    return loop(study, "any", "kill", stride=stride)
