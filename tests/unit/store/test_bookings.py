"""Paid requests of several threads share a transaction; what each was promised still holds."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from tuneworthy.records.errors import BudgetError, StoreError
from tuneworthy.store.bookings import GroupCommit
from tuneworthy.store.mirror import append_replies
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import open_ledger

THREADS = 12


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path, say=lambda text: None) as opened:
        yield opened


def held(ledger, monkeypatch):
    """Hold the first transaction until all others wait; return the number of entries of each."""
    real, sizes = ledger.journal.append, []
    others = {"attempt": ledger._attempts, "outcome": ledger._outcomes}

    def append(step, *entries):
        first = not sizes
        sizes.append(len(entries))
        if first:
            wait_for(lambda: len(others[step]._queue) == THREADS - 1)
        return real(step, *entries)

    monkeypatch.setattr(ledger.journal, "append", append)
    return sizes


def wait_for(met):
    until = threading.Event()
    for _ in range(2000):
        if met():
            return
        until.wait(0.005)
    raise AssertionError("it never came")


def together(work):
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, range(THREADS)))


def test_reservations_and_outcomes_that_wait_share_a_transaction(ledger, monkeypatch):
    purse = SpendingCap(ledger, usd="10")
    sizes = held(ledger, monkeypatch)
    tickets = together(lambda n: purse.reserve("0.1", 10, f"key {n}"))
    assert sizes == [1, THREADS - 1]
    assert len({ticket.number for ticket in tickets}) == THREADS
    rows = {row.seq: row.content["key"] for row in ledger.journal.rows("attempt", "")}
    assert all(rows[ticket.number] == ticket.key for ticket in tickets), "each got its own row"
    sizes.clear()
    together(lambda n: purse.settle(tickets[n], "0.05", 5, {"text": tickets[n].key}))
    assert sizes == [2, 2 * (THREADS - 1)], "outcomes and replies"
    assert all(purse.recorded(f"key {n}") == {"text": f"key {n}"} for n in range(THREADS))
    spent = purse.spent()
    assert (spent.usd, spent.tokens, spent.unknown) == (Decimal("0.60"), 5 * THREADS, ())
    lines = (ledger.home / "replies.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == THREADS
    assert ledger.verify() > 0


def test_one_reply_to_two_attempts_is_stored_once(ledger, monkeypatch):
    purse = SpendingCap(ledger, usd="10")
    tickets = together(lambda n: purse.reserve("0.1", 1, "the same"))
    held(ledger, monkeypatch)
    together(lambda n: purse.settle(tickets[n], "0.1", 1, {"text": "one"}))
    assert purse.recorded("the same") == {"text": "one"}
    assert len([r for r in ledger.journal.rows("unit", "") if r.name == "the same"]) == 1
    assert purse.spent().usd == Decimal("0.1") * THREADS


def test_a_cap_holds_while_reservations_are_being_written(ledger, monkeypatch):
    purse, real = SpendingCap(ledger, usd="0.5"), ledger.journal.append
    writing, go = threading.Event(), threading.Event()

    def append(step, *entries):
        writing.set()
        go.wait(10)
        return real(step, *entries)

    monkeypatch.setattr(ledger.journal, "append", append)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(purse.reserve, "0.4", 1)
        assert writing.wait(10)
        second = threads.submit(purse.reserve, "0.4", 1)
        assert not second.done(), "it waits: the first may settle below its worst case"
        go.set()
        purse.settle(first.result(10), "0.05", 1)
        purse.settle(second.result(10), "0.4", 1)
    with pytest.raises(BudgetError):
        purse.reserve("0.2", 1)


def test_a_failed_write_is_raised_in_every_thread_and_counts_nothing(ledger, monkeypatch):
    purse = SpendingCap(ledger, usd="10")

    def append(step, *entries):
        raise StoreError("the disk is full")

    monkeypatch.setattr(ledger.journal, "append", append)

    def tried(n):
        with pytest.raises(StoreError, match="the disk is full"):
            purse.reserve("0.1", 1)
        return True

    assert all(together(tried))
    assert purse.spent().usd == 0


def test_a_group_gives_each_its_own_result_and_error():
    group = GroupCommit(lambda values: [value * 2 for value in values])
    assert together(group) == [n * 2 for n in range(THREADS)]
    broken = GroupCommit(lambda values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken(1)
    with pytest.raises(ZeroDivisionError):
        broken(2)


def test_lines_of_a_group_are_whole_behind_a_torn_one(tmp_path):
    path = tmp_path / "replies.jsonl"
    path.write_bytes(b'{"key": "torn')
    append_replies(path, [{"key": "a"}, {"key": "b"}])
    assert path.read_bytes() == b'{"key": "torn\n{"key": "a"}\n{"key": "b"}\n'
