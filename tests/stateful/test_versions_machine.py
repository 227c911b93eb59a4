"""A92: random schedules of build, serve, rollback, kill and clock, against a model of versions.

A plain name means the version built last, or the one that a rollback went back to since. The model
knows the order of what happened and no times.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from tests.machine_kit import finds_the_fault, sized

sys.path.append(str(Path(__file__).parents[1] / "unit" / "handover" / "serve"))
from serve_kit import artefact

from tuneworthy.handover import artefact_folder
from tuneworthy.handover.artefact_folder import publish_artefact, seal_artefact
from tuneworthy.handover.serve import served_versions
from tuneworthy.handover.serve.served_versions import (
    current_versions,
    note_current,
    rollback,
    versions_in,
)
from tuneworthy.records.errors import TaskError

NAMES = st.sampled_from(["tickets", "voices"])
REAL = time.time


class Killed(BaseException):
    """Ends a call as SIGKILL does: nothing after it happens."""


class VersionsMachine(RuleBasedStateMachine):
    """A build folder, and beside it what each name must mean and has meant."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="tuneworthy-machine-"))
        self.number, self.shift = 0, 0.0
        self.meant, self.past = {}, {}  # name: version; name: versions that it meant, in order

    def teardown(self):
        self.set_clock(0.0)
        shutil.rmtree(self.root)

    def set_clock(self, shift):
        self.shift = shift
        time.time = (lambda: REAL() + shift) if shift else REAL

    def go_back(self, name):
        return rollback(self.root, versions_in(self.root), name)

    @rule(name=NAMES)
    def build(self, name):
        """Publish a build whose files carry the date of the clock."""
        self.number += 1
        draft = self.root / ".draft"
        draft.mkdir(exist_ok=True)
        made = seal_artefact(draft, artefact(name, task={"number": self.number}))
        for path in draft.rglob("*"):
            os.utime(path, (time.time(), time.time()))
        folder = publish_artefact(draft, self.root / artefact_folder.folder_name(made))
        self.meant[name] = folder.name

    @precondition(lambda self: self.meant)
    @rule()
    def serve(self):
        """Start a server, which notes what each name means."""
        note_current(self.root, versions_in(self.root))
        for name, version in self.meant.items():
            past = self.past.setdefault(name, [])
            if not past:  # a new history begins with what was built before
                past += [v.name for v in versions_in(self.root)
                         if v.artefact.name == name and v.name != version]  # fmt: skip
            if past[-1:] != [version]:
                past.append(version)

    @precondition(lambda self: self.meant)
    @rule(draw=st.data())
    def roll_back(self, draw):
        name = draw.draw(st.sampled_from(sorted(self.meant)))
        self.serve()  # a rollback notes first what is served
        now, past = self.meant[name], self.past[name]
        earlier = [at for at, version in enumerate(past) if version != now]
        if not earlier:
            with pytest.raises(TaskError, match="nothing else before"):
                self.go_back(name)
            return
        to = past[earlier[-1]]
        assert self.go_back(name) == (now, to)
        self.meant[name], self.past[name] = to, past[: earlier[-1] + 1]

    @precondition(lambda self: self.meant)
    @rule(draw=st.data(), at=st.integers(1, 4))
    def roll_back_and_be_killed(self, draw, at):
        """Kill a rollback at its n-th file: it happened or it did not, and can be repeated."""
        name = draw.draw(st.sampled_from(sorted(self.meant)))
        self.serve()
        now, past, left = self.meant[name], self.past[name], [at]
        replace, utime = os.replace, os.utime

        def counted(call):
            def wrapped(*words, **named):
                left[0] -= 1
                if not left[0]:
                    raise Killed
                return call(*words, **named)

            return wrapped

        os.replace, os.utime = counted(replace), counted(utime)
        try:
            self.go_back(name)
        except (Killed, TaskError):
            pass
        finally:
            os.replace, os.utime = replace, utime
        means = current_versions(self.root, versions_in(self.root))[name]
        earlier = [i for i, version in enumerate(past) if version != now]
        assert means in {now, *(past[i] for i in earlier[-1:])}
        if means != now:
            self.meant[name], self.past[name] = means, past[: earlier[-1] + 1]
        elif earlier:  # a half rollback may have shortened the history; serving notes `now` again
            served_versions.note_current(self.root, versions_in(self.root))
            self.past[name] = [
                line[1]
                for line in served_versions._read_history(self.root)
                if line[1].rpartition("-")[0] == name
            ]
            assert self.past[name][-2:] == [past[earlier[-1]], now]

    @rule(seconds=st.sampled_from([-3600.0, 0.0, 31_536_000.0, -1_000_000_000.0]))
    def the_clock_jumps(self, seconds):
        self.set_clock(seconds)

    @precondition(lambda self: self.meant)
    @invariant()
    def a_name_means_what_it_should(self):
        assert current_versions(self.root, versions_in(self.root)) == self.meant


class TestRandomSchedules(VersionsMachine.TestCase):
    settings = sized(60, 25)


@pytest.mark.long
class TestManyRandomSchedules(VersionsMachine.TestCase):
    settings = sized(3000, 40)


def test_the_machine_finds_a_planted_fault(monkeypatch):
    monkeypatch.setattr(f"{__name__}.rollback", lambda root, versions, name: ("", ""))
    finds_the_fault(VersionsMachine)
