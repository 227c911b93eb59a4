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
import tempfile
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
ONE_COMMIT = 4  # rows that a kill between writing and syncing may leave in doubt
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
        self.runner, self.folder, self.number, self.lost = runner, folder, 0, 0
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

    def hurt(self, spec, unsynced=None):
        """Run once with a fault and once without; return how the first ended.

        `unsynced`: what a power loss leaves of files that were never synced: "empty" or "absent".
        """
        folder = self.fresh()
        if unsynced:
            Path(f"{folder}-synced").mkdir()
            before = {path: path.stat().st_ino for path in files_of(folder)}
        ended = self.runner.run(folder, spec)
        if unsynced:
            stored = ledger_rows(folder)
            self.lost += lose_power(folder, before, unsynced)
            kept = ledger_rows(folder)
            assert stored - kept <= ONE_COMMIT, f"{spec}: {kept} of {stored} rows are left"
        assert ended.code in (*DONE, STORE, -9), f"{spec}: {ended.code}\n{ended.stderr[-1500:]}"
        assert not OUR_BUG.search(ended.stderr), f"{spec}\n{ended.stderr[-1500:]}"
        again = self.runner.run(folder, "")
        assert again.code == self.code, f"after {spec}: {again.code}\n{again.stderr[-1500:]}"
        assert self.left(folder) == self.want, f"after {spec} it differs"
        shutil.rmtree(folder.parent)
        return ended.code


def files_of(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


def ledger_rows(folder):
    """Return how many rows a copy of the study's ledger holds."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        if not (Path(copy) / ".tuneworthy").exists():
            return 0
        with open_ledger(Path(copy)) as ledger:
            return ledger.verify()


def lose_power(folder, before, unsynced):
    """Leave of each file what was synced last; return how many files changed by it.

    Files that stood there before the run are on the disk. Shared memory of SQLite is lost.
    """
    changed = 0
    for path in files_of(folder):
        kept = Path(f"{folder}-synced") / str(path.stat().st_ino)
        if path.name.endswith("-shm"):
            path.unlink()
        elif kept.exists():
            changed += path.read_bytes() != kept.read_bytes()
            path.write_bytes(kept.read_bytes())
        elif before.get(path) != path.stat().st_ino:
            changed += 1
            path.unlink() if unsynced == "absent" else path.write_bytes(b"")
    return changed


@pytest.fixture
def study(runner, tmp_path):
    return Study(runner, tmp_path)


def loop(study, kind, action, often="", stride=1, unsynced=None):
    ends = Counter()
    for n in range(1, study.calls[kind] + 1, stride):
        ends[study.hurt(f"{kind}:{n}{often}:{action}", unsynced)] += 1
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


@pytest.mark.full
def test_p13_after_a_power_loss_at_some_calls_the_verdict_is_the_same(study):
    total = sum(study.calls.values())
    assert loop_any(study, total, max(1, total // 3), "empty")[-9] >= 3
    assert study.lost, "nothing was lost"


@pytest.mark.long
@pytest.mark.parametrize("unsynced", ["empty", "absent"])
def test_p13_after_a_power_loss_at_every_seventh_call_the_verdict_is_the_same(study, unsynced):
    total = sum(study.calls.values())
    assert loop_any(study, total, 7, unsynced)[-9] >= total / 9


def loop_any(study, total, stride, unsynced=None):
    study.calls["any"] = total
    return loop(study, "any", "kill", stride=stride, unsynced=unsynced)
