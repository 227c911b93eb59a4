"""P3: spend never passes the cap; what may have been billed is listed and counted."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from tests.store_kit import unsynced

from tuneworthy.records.errors import BudgetError, StoreError, TaskError
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import open_ledger


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path) as opened:
        yield opened


class Server:
    """An endpoint that bills what a request really costs, and sometimes fails after billing."""

    def __init__(self, seed):
        self.rng, self.lock = random.Random(seed), threading.Lock()
        self.usd, self.tokens, self.sent = Decimal(0), 0, 0

    def bill(self, worst_usd, worst_tokens):
        """Return (usd, tokens, told): what was billed, and whether the client learns of it."""
        with self.lock:
            self.sent += 1
            share = Decimal(self.rng.randrange(0, 101)) / 100
            kind = self.rng.choice(["ok", "ok", "ok", "429", "500 billed", "timeout"])
            usd, tokens = worst_usd * share, int(worst_tokens * share)
            if kind == "429":
                usd, tokens = Decimal(0), 0
            self.usd += usd
            self.tokens += tokens
            return usd, tokens, kind != "timeout"


def schedule(ledger, seed, reckless=False):
    """Run one random schedule of workers, prices and failures; return (server, purse, caps)."""
    rng, server = random.Random(seed), Server(seed)
    cap = Decimal(rng.randrange(1, 500)) / 1000 if rng.random() < 0.8 else None
    tokens = rng.randrange(50, 3000) if rng.random() < 0.6 else None
    purse = SpendingCap(ledger, cap, tokens, f"s{seed}")
    jobs = [(Decimal(rng.randrange(1, 90)) / 1000, rng.randrange(1, 400)) for _ in range(12)]

    def work(job):
        for _attempt in range(1 + server.sent % 2):  # a retry is an attempt of its own
            try:
                ticket = purse.reserve(Decimal("0.0001") if reckless else job[0], job[1])
            except BudgetError:
                return "stopped"
            usd, used, told = server.bill(*job)
            purse.settle(ticket, usd if told else None, used if told else None)
        return "done"

    with ThreadPoolExecutor(rng.choice([1, 4, 16, 64])) as pool:
        said = list(pool.map(work, jobs))
    return server, purse, cap, tokens, said


def overrun(server, cap, tokens):
    return (cap is not None and server.usd > cap) or (tokens is not None and server.tokens > tokens)


def schedules(ledger, number):
    unsynced(ledger)
    stopped = 0
    for seed in range(number):
        server, purse, cap, tokens, said = schedule(ledger, seed)
        assert not overrun(server, cap, tokens), seed
        stopped += "stopped" in said
        spent = purse.spent()
        assert spent.attempts == server.sent
        assert spent.usd >= server.usd, seed  # what is not known counts at its worst
        assert cap is None or spent.usd <= cap
        if not spent.unknown:
            assert (spent.usd, spent.tokens) == (server.usd, server.tokens), seed
    assert number / 5 < stopped < number  # the caps bite in many and not in all
    return stopped


def test_p3_no_overrun_in_50_random_schedules(ledger):
    schedules(ledger, 50)


@pytest.mark.full
def test_p3_no_overrun_in_200_random_schedules(ledger):
    schedules(ledger, 200)


@pytest.mark.long
def test_p3_no_overrun_in_2000_random_schedules(ledger):
    schedules(ledger, 2000)


def test_p3_the_property_can_fail_where_less_than_the_worst_case_is_reserved(ledger):
    unsynced(ledger)
    runs = (schedule(ledger, seed, reckless=True) for seed in range(30))
    assert any(overrun(server, cap, tokens) for server, _, cap, tokens, _ in runs)


def test_p3_64_threads_at_one_moment_pass_only_what_fits(ledger):
    purse, gate, sent = SpendingCap(ledger, usd="0.50"), threading.Barrier(64), []

    def work():
        gate.wait()
        try:
            ticket = purse.reserve("0.10", 1)
        except BudgetError:
            return
        sent.append(ticket)
        purse.settle(ticket, "0.10", 1)

    threads = [threading.Thread(target=work) for _ in range(64)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(sent) == 5
    assert purse.spent().usd == Decimal("0.50")
    assert purse.left() == (Decimal("0.00"), None)


def test_p3_sums_are_exact(ledger):
    purse = SpendingCap(ledger, usd=0.3)
    for _ in range(3):  # in floats .1 + .1 + .1 > .3
        purse.settle(purse.reserve(0.1, 1), 0.1, 1)
    assert purse.spent().usd == Decimal("0.3")
    with pytest.raises(BudgetError):
        purse.reserve("1e-30", 1)


def test_a_cap_that_stops_says_what_is_needed(ledger):
    purse = SpendingCap(ledger, usd=1, tokens=100)
    with pytest.raises(BudgetError) as error:
        purse.reserve("1.01", 5)
    assert error.value.exit_code == 6
    assert "$0 of $1 committed, up to $1.01 needed" in error.value.got
    assert "budget.usd" in error.value.fix
    with pytest.raises(BudgetError, match=r"budget\.tokens"):
        purse.reserve("0.5", 101)
    assert purse.spent().attempts == 0


def test_i70_a_money_cap_needs_a_price(ledger):
    with pytest.raises(TaskError, match="price") as error:
        SpendingCap(ledger, usd=1).reserve(None, 5)
    assert error.value.exit_code == 2
    assert SpendingCap(ledger, tokens=10).reserve(None, 5).usd == 0


def test_a_request_in_flight_elsewhere_is_waited_for(ledger):
    purse = SpendingCap(ledger, usd=1)
    ticket = purse.reserve(1, 1)
    got = []
    waiter = threading.Thread(target=lambda: got.append(purse.reserve("0.9", 1)))
    waiter.start()
    time.sleep(0.05)
    assert not got
    purse.settle(ticket, "0.1", 1)
    waiter.join(5)
    assert got
    purse.settle(got[0], "0.5", 1)
    mine = purse.reserve("0.4", 1)
    with pytest.raises(
        BudgetError
    ):  # one's own requests are not waited for: that would be for ever
        purse.reserve("0.4", 1)
    purse.settle(mine, 0, 0)
    purse.reserve("0.4", 1)


@pytest.mark.parametrize("told", [-1, "nan", "inf", "-0.01", "no number"])
def test_a41_a_usage_that_can_not_be_true_counts_as_the_worst_case(ledger, told):
    purse = SpendingCap(ledger, usd=1)
    purse.settle(purse.reserve("0.4", 10, "q"), told, told)
    spent = purse.spent()
    assert (spent.usd, spent.tokens, [u.key for u in spent.unknown]) == (Decimal("0.4"), 10, ["q"])


def test_a41_a_cost_above_the_worst_case_is_counted_and_stops_the_study(ledger):
    purse = SpendingCap(ledger, usd=1)
    purse.settle(purse.reserve("0.4", 10), "1e12", 10)
    with pytest.raises(BudgetError):
        purse.reserve("0.0001", 1)


def test_p2_a_reply_and_its_cost_are_one_step_and_never_asked_for_again(ledger):
    purse = SpendingCap(ledger, usd=1, study="s")
    ticket = purse.reserve("0.4", 10, "q")
    assert purse.recorded("q") is None
    purse.settle(ticket, "0.1", 7, {"text": "yes"})
    assert purse.recorded("q") == {"text": "yes"}
    with pytest.raises(ValueError, match="twice"):
        purse.settle(ticket, "0.1", 7)
    again = purse.reserve("0.4", 10, "q")
    assert again.retry_key == ticket.retry_key != purse.reserve("0.1", 1, "other").retry_key
    with pytest.raises(ValueError, match="key"):
        purse.settle(purse.reserve("0.1", 1), "0.1", 1, {"text": "no key"})


def test_p2_what_was_in_flight_at_a_kill_is_listed_and_counted(tmp_path):
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        purse = SpendingCap(open_ledger(tmp_path), usd=1, study="s")
        purse.settle(purse.reserve("0.3", 30, "answered"), "0.1", 10, {"text": "a"})
        purse.reserve("0.25", 25, "in flight")
        os.write(tell, b"x")
        time.sleep(60)
    os.read(told, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open_ledger(tmp_path, say=lambda text: None) as ledger:
        purse = SpendingCap(ledger, usd=1, study="s")
        spent = purse.spent()
        assert [(u.key, u.usd, u.tokens) for u in spent.unknown] == [
            ("in flight", Decimal("0.25"), 25)
        ]
        assert (spent.usd, spent.tokens, spent.attempts) == (Decimal("0.35"), 35, 2)
        with pytest.raises(BudgetError):
            purse.reserve("0.66", 1)
        assert SpendingCap(ledger, usd=1, study="another").left()[0] == 1


def test_two_purses_of_a_study_share_one_account(ledger):
    first, second = SpendingCap(ledger, usd=1), SpendingCap(ledger, usd=1)
    first.reserve("0.6", 1)
    with pytest.raises(BudgetError):
        second.reserve("0.6", 1)


def test_p3_processes_that_take_turns_share_one_cap(tmp_path):
    def child(seed):
        billed = Decimal(0)
        while True:
            try:
                with open_ledger(tmp_path, say=lambda text: None) as ledger:
                    purse = SpendingCap(ledger, usd="0.50", study="s")
                    ticket = purse.reserve("0.05", 5)
                    purse.settle(ticket, "0.04", 4)
                    billed += Decimal("0.04")
            except StoreError:
                time.sleep(0.01)
            except BudgetError:
                return int(billed * 100)

    children = []
    for seed in range(4):
        if (pid := os.fork()) == 0:
            code = 255
            try:
                code = child(seed)
            finally:
                os._exit(code)
        children.append(pid)
    billed = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert sum(billed) == 48  # 12 x 0.04; the 13th could cost 0.05 and pass 0.50


@pytest.mark.parametrize(
    ("caps", "where", "got"),
    [((Decimal("1.5"), None), "budget.usd", "$1 of $1.5 committed, up to $0.75 needed"),
     ((None, 30), "budget.tokens", "20 of 30 committed, up to 11 needed"),
     ((Decimal(9), 30), "budget.tokens", "20 of 30 committed, up to 11 needed")],
)  # fmt: skip
def test_a_refused_request_names_the_cap_and_all_sums(ledger, caps, where, got):
    purse = SpendingCap(ledger, *caps, "s")
    purse.settle(purse.reserve(Decimal(1), 20), Decimal(1), 20)
    with pytest.raises(BudgetError) as error:
        purse.reserve(Decimal("0.75"), 11)
    assert (error.value.where, error.value.got) == (f"task.yaml: {where}", got)
    assert error.value.fix == f"raise {where} and run again"


def test_p3_what_other_studies_of_the_task_spent_counts(tmp_path):
    with open_ledger(tmp_path) as ledger:
        one = SpendingCap(ledger, Decimal(2), None, "one")
        one.settle(one.reserve(Decimal("0.5"), 10), Decimal("0.5"), 10)
        one.reserve(Decimal("0.75"), 10)  # its outcome is never known
    with open_ledger(tmp_path) as ledger:
        two = SpendingCap(ledger, Decimal(2), 30, "two", others=["one", "none"])
        assert two.left() == (Decimal("0.75"), 10)
        assert two.spent().usd == 0, "its own"
        with pytest.raises(BudgetError) as error:
            two.reserve(Decimal(1), 5)
        assert error.value.got == "$1.25 of $2 committed, up to $1 needed"
        two.settle(two.reserve(Decimal("0.75"), 10), Decimal("0.75"), 10)
        with pytest.raises(BudgetError):
            two.reserve(Decimal("0.01"), 0)
