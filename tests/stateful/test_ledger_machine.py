"""P1 to P5, P14, A92: random schedules of one ledger and its purse, against a model in plain dicts.

The machine writes, reads, pays, stops, is killed in the middle of a step, loses the disk for a
moment, sets the clock back and meets a second writer. After every step the store says what the
model says: nothing stored is lost, nothing is stored twice, no cap is passed.
"""

import os
import shutil
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from tests.faults.killing import forked, run
from tests.machine_kit import finds_the_fault, sized
from tests.store_kit import unsynced

from tuneworthy.records.errors import BudgetError, StoreError
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import Ledger, open_ledger

KEYS = st.sampled_from(["k1", "k2", "k3", "big"])
STUDIES = st.sampled_from(["s1", "s2"])
ROWS = st.sampled_from(["rows-a", "rows-b"])
REQUESTS = st.sampled_from(["q1", "q2", "q3", "q4"])
CENTS = st.integers(0, 40)
CAP = Decimal("1.00")
PARTED = "x" * 2_500_000  # a value that is stored in parts


class LedgerMachine(RuleBasedStateMachine):
    """A ledger, and beside it what it must hold."""

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="tuneworthy-machine-"))
        self.units, self.frozen, self.doors = {}, {}, []
        self.looks = {"rows-a": [], "rows-b": []}
        self.attempts, self.tickets = {}, {}  # number: worst or real cents; number: ticket
        self.replies, self.lost = {}, set()
        self.kills = 0
        self.open()

    def open(self):
        self.ledger = open_ledger(self.home, say=lambda text: None)
        unsynced(self.ledger)
        self.purse = SpendingCap(self.ledger, usd=CAP, study="paid")

    def reopen(self):
        """Close and open again: what was in flight stays counted, its outcome unknown."""
        self.ledger.close()
        self.lost |= set(self.tickets)
        self.tickets = {}
        self.open()

    def teardown(self):
        self.ledger.close()
        shutil.rmtree(self.home)

    # what a study does

    @rule(key=KEYS, number=st.integers(0, 2))
    def put(self, key, number):
        value = {"number": number, "text": PARTED if key == "big" else "\x00\ud83d é"}
        if key in self.units and self.units[key] != value:
            with pytest.raises(StoreError, match="one key was used for two things"):
                self.ledger.put(key, "x", value)
        else:
            assert self.ledger.put(key, "x", value) == value
            self.units[key] = value

    @rule(key=KEYS)
    def unit(self, key):
        made = []
        value = {"made": key}
        stored = self.ledger.unit(key, "x", lambda: made.append(1) or value)
        assert (made == []) == (key in self.units)
        assert stored == self.units.setdefault(key, value)

    @rule(study=STUDIES, number=st.integers(0, 2))
    def freeze(self, study, number):
        stored = self.ledger.freeze(study, "plan", {"number": number})
        assert stored == self.frozen.setdefault(study, {"number": number})

    @rule(study=STUDIES, purpose=st.sampled_from(["score", "lengths"]))
    def door(self, study, purpose):
        self.ledger.door(study, "open", purpose)
        if (study, purpose) not in self.doors:
            self.doors.append((study, purpose))

    @rule(study=STUDIES, rows=ROWS)
    def look(self, study, rows):
        place = self.ledger.looks(study, rows)
        if study not in self.looks[rows]:
            self.looks[rows].append(study)
        assert place == self.looks[rows].index(study) + 1

    # what it pays

    def spent(self):
        return sum(self.attempts.values(), Decimal(0)) / 100

    @rule(request=REQUESTS, cents=CENTS)
    def reserve(self, request, cents):
        assert self.purse.recorded(request) == self.replies.get(request)
        if request in self.replies:
            return  # it is not sent again
        worst = Decimal(cents) / 100
        if self.spent() + worst > CAP:
            with pytest.raises(BudgetError):
                self.purse.reserve(worst, cents, request)
        else:
            ticket = self.purse.reserve(worst, cents, request)
            assert ticket.number not in self.attempts
            self.attempts[ticket.number] = Decimal(cents)
            self.tickets[ticket.number] = ticket

    @rule(request=REQUESTS)
    def ask(self, request):
        """Send a request and get its answer, unless it is there or the cap is reached."""
        before = set(self.tickets)
        self.reserve(request, 3)
        for number in set(self.tickets) - before:
            self.settle_one(number, 1)

    @precondition(lambda self: self.tickets)
    @rule(draw=st.data(), share=st.sampled_from([0, 0.5, 1, None, -1]))
    def settle(self, draw, share):
        self.settle_one(draw.draw(st.sampled_from(sorted(self.tickets))), share)

    def settle_one(self, number, share):
        ticket = self.tickets.pop(number)
        known = share is not None and share >= 0
        cost = None if share is None else ticket.usd * Decimal(str(share))
        if share == -1:
            cost = Decimal("-0.5")  # impossible: the worst case stays
        reply = {"text": f"reply {number}"}
        self.purse.settle(ticket, cost, ticket.tokens, reply)
        if known:
            self.attempts[number] = cost * 100
        else:
            self.lost.add(number)
        self.replies.setdefault(ticket.key, reply)

    # what happens to it

    @rule()
    def stop_and_go_on(self):
        self.reopen()

    @rule(step=st.sampled_from(["put", "freeze", "attempt", "outcome"]), after=st.booleans(),
          request=REQUESTS)  # fmt: skip
    def killed(self, step, after, request):
        """Another process goes on with the study and is killed right before or after a commit."""
        self.ledger.close()
        self.lost |= set(self.tickets)
        self.tickets = {}
        self.kills += 1
        key, cents, kills = f"new {self.kills}", 1, self.kills
        affordable = self.spent() * 100 + cents <= CAP * 100 and request not in self.replies

        @forked
        def go_on(folder):
            with open_ledger(folder, say=lambda text: None) as ledger:
                ledger.put(key, "x", {"text": key})
                ledger.freeze(key, "plan", {"text": key})
                if affordable:
                    purse = SpendingCap(ledger, usd=CAP, study="paid")
                    ticket = purse.reserve(Decimal("0.01"), cents, request)
                    purse.settle(ticket, Decimal("0.01"), cents, {"text": f"reply of {kills}"})

        ended = run(go_on, self.home, f"{step}.{'after' if after else 'before'}:1:kill")
        assert ended.code in (0, -9), ended.stderr
        assert (ended.code == 0) == (step in ("attempt", "outcome") and not affordable)
        self.open()
        done = ["put", "freeze", "attempt", "outcome"]
        reached = done.index(step) + after if ended.code else (4 if affordable else 2)
        if reached > 0:
            self.units[key] = {"text": key}
        if reached > 1:
            self.frozen[key] = {"text": key}
        if affordable and reached > 2:
            number = max(row.seq for row in self.ledger.journal.rows("attempt"))
            self.attempts[number] = Decimal(cents)
            # Its reply was written to the second copy before the commit of the outcome.
            if ended.code and step == "attempt":
                self.lost.add(number)
            else:
                self.replies[request] = {"text": f"reply of {kills}"}

    @rule(action=st.sampled_from(["ENOSPC", "EIO", "EMFILE"]), key=st.sampled_from(["f1", "f2"]))
    def the_disk_fails_once(self, action, key):
        if key in self.units:
            return
        os.environ["TW_FAILPOINT"] = f"put.before:1:{action}"
        from tuneworthy.store import failpoint

        failpoint._times_passed.clear()
        try:
            with pytest.raises(StoreError) as refused:
                self.ledger.put(key, "x", {"text": key})
        finally:
            del os.environ["TW_FAILPOINT"]
        assert refused.value.exit_code == 7
        self.reopen()
        if self.ledger.get(key) is not None:  # whole or absent
            self.units[key] = {"text": key}

    @rule(seconds=st.sampled_from([-3600, 31_536_000, -2_000_000_000]))
    def the_clock_jumps(self, seconds):
        real = time.time
        time.time = lambda: real() + seconds
        try:
            self.reopen()
            self.ledger.log("s1", "clock", {"seconds": seconds})
        finally:
            time.time = real

    @rule()
    def a_second_writer(self):
        @forked
        def second(folder):
            open_ledger(folder, say=lambda text: None)

        ended = run(second, self.home)
        assert ended.code != 0
        assert "another run has this study open" in ended.stderr

    # what holds after every step

    @invariant()
    def all_is_there(self):
        with open_ledger(self.home, write=False) as reader:
            for ledger in (self.ledger, reader):
                for key, value in self.units.items():
                    assert ledger.get(key) == value
                for study, value in self.frozen.items():
                    assert ledger.frozen(study, "plan") == value
                assert [
                    (row.study, row.content["purpose"]) for row in ledger.journal.rows("door")
                ] == self.doors
                for key, reply in self.replies.items():
                    assert ledger.get(key) == reply

    @invariant()
    def the_money_is_right(self):
        spent = self.purse.spent()
        assert spent.usd == self.spent() <= CAP
        assert spent.attempts == len(self.attempts)
        assert {attempt.number for attempt in spent.unknown} == self.lost

    @invariant()
    def the_chain_holds(self):
        assert self.ledger.verify() >= len(self.units) + len(self.frozen) + len(self.attempts)


class TestRandomSchedules(LedgerMachine.TestCase):
    settings = sized(30, 25)


@pytest.mark.long
class TestManyRandomSchedules(LedgerMachine.TestCase):
    settings = sized(600, 40)


FAULTS = {
    "the cap is not kept": (SpendingCap, "_within_caps", lambda self, usd, tokens: True),
    "requests of unknown outcome are forgotten": (SpendingCap, "_unknown", lambda self: []),
    "a reply is not found again": (SpendingCap, "recorded", lambda self, key: None),
    "a unit is made again": (Ledger, "get", lambda self, key: None),
    "a second look is not counted": (Ledger, "looks", lambda self, study, rows, marks=(): 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_machine_finds_a_planted_fault(monkeypatch, fault):
    monkeypatch.setattr(*FAULTS[fault])
    finds_the_fault(LedgerMachine)
