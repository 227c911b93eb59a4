"""A92: random schedules of settling one study, against the session that nothing interrupted.

A person clicks, leaves, is killed in the middle of a click, comes back after another study of the
same rows or a step of the clock, and finishes twice. No click is lost, none is asked again, and the
verdict at the end is that of the person who was never interrupted.
"""

import functools
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests import studies
from tests.faults.killing import forked, run
from tests.machine_kit import finds_the_fault, sized

import tuneworthy
from tuneworthy.flows.settling import Settling, open_settling
from tuneworthy.records.results import Results
from tuneworthy.store.store import open_ledger

sys.path.append(str(Path(__file__).parents[1] / "unit" / "flows"))
from test_settle import recorded, said

REAL_CLICKS = Settling._stored_clicks
CLICKS = 60
"""Clicks that a person is willing to make: each schedule ends by them."""


def clicks_of(path, gold, count):
    """Make so many clicks in one session; return what was asked, and the progress after it."""
    asked = []
    with open_settling(path, clicks=CLICKS) as settling:
        while len(asked) < count and (question := settling.question()) is not None:
            asked.append((question.query.id, question.left, question.right, question.again))
            assert settling.click(said(question, gold)) == ""
        return asked, settling.progress()


def finish(path):
    with open_settling(path, clicks=CLICKS) as settling:
        done = settling.finish()
    files = {name: (done.folder / name).read_bytes() for name in ("verdict.json", "settled.jsonl")}
    return studies.timeless(files["verdict.json"]), files["settled.jsonl"]


@functools.cache
def never_interrupted():
    """Return a study to copy, its right labels, every question of one session, and its end."""
    folder = Path(tempfile.mkdtemp(prefix="tuneworthy-machine-"))
    path, gold = recorded(folder / "study", n=60, pool=300, success={"margin": 0.08})
    tuneworthy.run(path)
    whole = folder / "whole" / "task.yaml"
    shutil.copytree(path.parent, whole.parent)
    asked, _ = clicks_of(whole, gold, CLICKS)
    return path, gold, asked, finish(whole)


class SettlingMachine(RuleBasedStateMachine):
    """A study that is being settled, and beside it the questions of an uninterrupted session."""

    def __init__(self):
        super().__init__()
        template, self.gold, self.asked, self.end = never_interrupted()
        self.home = Path(tempfile.mkdtemp(prefix="tuneworthy-machine-"))
        self.path = self.home / "study" / "task.yaml"
        shutil.copytree(template.parent, self.path.parent)
        self.made = 0

    def teardown(self):
        try:
            self.go_on(CLICKS)
            assert self.made == len(self.asked)
            assert finish(self.path) == self.end
        finally:
            shutil.rmtree(self.home)

    def stored(self):
        with open_ledger(self.path.parent, write=False) as ledger:
            study = next(row.study for row in ledger.journal.rows("look"))
            return len(ledger.keys(study, "click"))

    def go_on(self, count):
        asked, progress = clicks_of(self.path, self.gold, count)
        assert asked == self.asked[self.made : self.made + count]
        self.made += len(asked)
        assert progress.clicks == self.made

    @rule(count=st.integers(1, 9))
    def click_and_leave(self, count):
        self.go_on(count)

    @rule(count=st.integers(1, 4), step=st.integers(1, 20))
    def killed(self, count, step):
        """Another process makes clicks and is killed at its n-th durable step, if it takes it."""
        ended = run(forked(lambda folder: clicks_of(self.path, self.gold, count)), self.home,
                    f"*:{step}:kill")  # fmt: skip
        assert ended.code in (0, -9), ended.stderr
        before, self.made = self.made, self.stored()
        whole = min(before + count, len(self.asked))
        assert self.made == whole if ended.code == 0 else before <= self.made <= whole

    @rule(seconds=st.sampled_from([-3600, 31_536_000]))
    def the_clock_jumps(self, seconds):
        real = time.time
        time.time = lambda: real() + seconds
        try:
            self.go_on(1)
        finally:
            time.time = real

    @precondition(lambda self: self.made)
    @rule(number=st.integers(0, 2))
    def another_study_of_these_rows(self, number):
        """It comes after settling took its look, so settling pays no more for it."""
        other = self.path.with_name("other.yaml")
        task = self.path.read_text().replace('"planted"', f'"other{number}"')
        other.write_text(task.replace("0.095", f"0.09{number}"))
        tuneworthy.run(other)

    @rule()
    def run_again(self):
        assert isinstance(tuneworthy.run(self.path).results, Results)

    @rule()
    def look_without_a_click(self):
        self.go_on(0)

    @precondition(lambda self: self.made)
    @rule()
    def finish_early(self):
        """An early end is no last word: the same session goes on after it."""
        first = finish(self.path)
        assert finish(self.path) == first
        if self.made == len(self.asked):
            assert first == self.end

    @invariant()
    def every_click_is_stored_once(self):
        assert self.stored() == self.made


@pytest.mark.full
class TestRandomSchedules(SettlingMachine.TestCase):
    settings = sized(3, 6)


@pytest.mark.long
class TestManyRandomSchedules(SettlingMachine.TestCase):
    settings = sized(100, 12)


FAULTS = {
    "a click is not stored": (
        Settling, "_click_key", lambda self, number: f"lost {number} {time.time_ns()}"),
    "the next click replaces the last one": (
        Settling, "_stored_clicks", lambda self: REAL_CLICKS(self)[:-1]),
    "what was clicked is forgotten": (Settling, "_stored_clicks", lambda self: []),
    "each return counts a look": (
        Settling, "_count_look",
        lambda self: self._session.count_look_once(f"look {time.time_ns()}").look),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_the_machine_finds_a_planted_fault(monkeypatch, fault):
    never_interrupted()
    monkeypatch.setattr(*FAULTS[fault])
    finds_the_fault(SettlingMachine)
