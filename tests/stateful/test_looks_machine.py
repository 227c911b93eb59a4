"""A92: random schedules of studies in two folders of one user, against a count of what was shown.

A study pays for a look if other answers to the same rows were compared before, in whatever folder.
Too few looks make bounds that break; too many make a verdict that never becomes firm. The model
knows which answers each study that ended has shown to which rows.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests import recorded
from tests.faults.killing import forked, run
from tests.machine_kit import finds_the_fault, sized

import tuneworthy
from tuneworthy.flows import look_count
from tuneworthy.flows.study import plan
from tuneworthy.records.errors import TuneworthyError
from tuneworthy.store import elsewhere
from tuneworthy.store.elsewhere import release_look

FOLDERS = st.sampled_from(["a", "b"])
ROWS = {"few": 24, "all": 36, "other": 24}  # the few are a part of all; others share none
ANSWERS = st.integers(0, 2)
MARGINS = st.sampled_from([0.02, 0.05])
STUDY = {"folder": FOLDERS, "rows": st.sampled_from(sorted(ROWS)), "answers": ANSWERS,
         "margin": MARGINS}  # fmt: skip


def write(folder, rows, answers, margin):
    """Write a task of two recorded systems; `answers` says how they fail."""
    made = recorded.rows(36 + ROWS["other"])
    made = made[36:] if rows == "other" else made[: ROWS[rows]]
    systems = {
        name: recorded.failing(made, lambda at, share=share: share, seed=7 * answers + at)
        for at, (name, share) in enumerate({"old": 0.4, "new": 0.3}.items())
    }
    keys = {"seeds": 1, "success": {"margin": margin}}
    return recorded.write(folder, made, systems, **keys)


def dies_while_appending(nth, share):
    """Make the n-th line for the user's file end in the middle, as at a kill."""
    real, appended = elsewhere._append_entry, []

    def append(fd, text, entry):
        appended.append(entry)
        if len(appended) == nth:
            line = json.dumps(entry).encode()
            os.write(fd, line[: int(share * len(line))])
            os._exit(9)
        real(fd, text, entry)

    elsewhere._append_entry = append


class LooksMachine(RuleBasedStateMachine):
    """The folders and state of one user, and beside them what each study showed to which rows."""

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="tuneworthy-machine-"))
        self.before = {
            name: os.environ.get(name) for name in ("XDG_STATE_HOME", "TUNEWORTHY_LOOKS")
        }
        os.environ.pop(elsewhere.LOOKS_VARIABLE, None)
        os.environ["XDG_STATE_HOME"] = str(self.home / "state")
        self.ended = {}  # (folder, rows, answers, margin): look
        self.begun = set()

    def teardown(self):
        for name, value in self.before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(self.home)

    def least_looks(self, rows):
        """Return {answers: least look} of the studies that ended and scored some of these rows."""
        found, apart = {}, rows == "other"
        for (_, where, answers, _), look in self.ended.items():
            if (where == "other") == apart:
                found[answers] = min(look, found.get(answers, look))
        return found

    def after(self, folder, rows, answers, margin, look):
        """Check the look of a study that ended: n different sets of answers cost n looks.

        Bounds pay for look L by a share that falls with L, so the i-th least look must be i or
        more. A folder may count a study that was killed in it too: that is more, never less.
        """
        study = (folder, rows, answers, margin)
        self.begun.add(study[1:])
        assert self.ended.get(study, look) == look
        self.ended[study] = look
        for at, paid in enumerate(sorted(self.least_looks(rows).values()), 1):
            assert paid >= at, (study, look, self.ended)
        begun = [one for one in self.begun if (one[0] == "other") == (rows == "other")]
        assert look <= len(begun), (study, look, self.begun)

    @rule(**STUDY)
    def study(self, folder, rows, answers, margin):
        path = write(self.home / folder, rows, answers, margin)
        told = plan(path).looks
        verdict = tuneworthy.run(path).verdict
        assert tuneworthy.run(path).verdict.looks == verdict.looks
        assert verdict.looks <= told or (rows, answers, margin) in self.begun
        self.after(folder, rows, answers, margin, verdict.looks)

    @rule(**STUDY, at=st.integers(1, 40))
    def killed(self, folder, rows, answers, margin, at):
        """Kill a study at its n-th durable step; it may have ended before."""
        path = write(self.home / folder, rows, answers, margin)
        ended = run(forked(lambda where: tuneworthy.run(path)), self.home / folder, f"*:{at}:kill")
        assert ended.code in (0, -9), ended.stderr
        self.begun.add((rows, answers, margin))
        if ended.code == 0:
            self.after(folder, rows, answers, margin, tuneworthy.run(path).verdict.looks)

    @rule(**STUDY, at=st.integers(1, 3), share=st.sampled_from([0, 0.5, 1]))
    def killed_at_the_file(self, folder, rows, answers, margin, at, share):
        """Kill a study while it writes a line of the user's file."""
        path = write(self.home / folder, rows, answers, margin)

        @forked
        def begin(where):
            dies_while_appending(at, share)
            tuneworthy.run(path)

        ended = run(begin, self.home / folder)
        assert ended.code in (0, 9), ended.stderr
        self.begun.add((rows, answers, margin))
        if ended.code == 0:
            self.after(folder, rows, answers, margin, tuneworthy.run(path).verdict.looks)

    @rule(**STUDY, event=st.sampled_from(["look", "audit", "plan", "arm", "answers"]))
    def stopped(self, folder, rows, answers, margin, event):
        """Ctrl-C at an event of a study."""
        path = write(self.home / folder, rows, answers, margin)

        def stop(told, data):
            if told == event:
                raise KeyboardInterrupt

        self.begun.add((rows, answers, margin))
        try:
            study = tuneworthy.run(path, watch=stop)
        except (KeyboardInterrupt, TuneworthyError):
            return
        self.after(folder, rows, answers, margin, study.verdict.looks)

    @invariant()
    def a_plan_knows_what_was_shown(self):
        if known := self.least_looks("few"):
            path = write(self.home / "a", "few", 3, 0.05)  # answers that nobody has shown
            assert plan(path).looks > len(known)


@pytest.mark.full
class TestRandomSchedules(LooksMachine.TestCase):
    settings = sized(5, 8)


@pytest.mark.long
class TestManyRandomSchedules(LooksMachine.TestCase):
    settings = sized(100, 15)


FAULTS = {
    "studies of other folders are not counted": (
        elsewhere, "_studies_of_rows", lambda lines, rows, marks, study: iter(())),
    "every study gives its look back": (
        look_count, "retake_look", lambda ledger, study, rows: release_look(ledger, study, rows)),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_the_machine_finds_a_planted_fault(monkeypatch, fault):
    monkeypatch.setattr(*FAULTS[fault])
    finds_the_fault(LooksMachine)
