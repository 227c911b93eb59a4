"""Threads that share a call: they meet at barriers, and none waits for a thread that failed."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

pytestmark = pytest.mark.full


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    from tuneworthy_cpu.gemm import thread_pool as _team

    if not _team.own_gemm_available():
        pytest.skip("this processor has no AVX512 bf16, or a matrix unit")
    monkeypatch.setattr(_team._helpers, "alone", 0)


@pytest.fixture(scope="module")
def told():
    """Return a loop in which each thread writes its number and reads all others' many times."""
    from tuneworthy_cpu.compiled import compiled
    from tuneworthy_cpu.gemm.thread_pool import wait_at_barrier

    @compiled
    def loop(board, me, all_, notes, wrong):
        side = board, me, all_
        for turn in range(len(notes)):
            notes[turn, me] = turn + 1
            wait_at_barrier(side, turn)
            for other in range(all_):
                wrong[me] += notes[turn, other] != turn + 1

    return loop


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_all_see_what_all_wrote_before_they_met(told, threads):
    from tuneworthy_cpu.gemm.thread_pool import run_on_threads

    notes, wrong = np.zeros((3000, threads), np.int64), np.zeros(threads, np.int64)
    run_on_threads(threads, lambda board, me, all_: told(board, me, all_, notes, wrong))
    assert (notes == np.arange(1, 3001)[:, None]).all()
    assert not wrong.any()


def test_who_does_not_wait_misses_what_others_write(told):
    """The control: thread 1 begins only after thread 0 is done."""
    notes, wrong = np.zeros((10, 2), np.int64), np.zeros(2, np.int64)
    board = np.zeros(16, np.int64)
    board[8] = 1  # somebody will not come
    told(board, 0, 2, notes, wrong)
    assert wrong[0] == 10


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_an_error_of_one_thread_reaches_the_caller_and_nobody_waits(told, lost):
    from tuneworthy_cpu.gemm.thread_pool import run_on_threads

    notes, wrong = np.zeros((5, 3), np.int64), np.zeros(3, np.int64)

    def work(board, me, all_):
        if me == lost:
            raise ZeroDivisionError("lost")
        told(board, me, all_, notes, wrong)

    with pytest.raises(ZeroDivisionError, match="lost"):
        run_on_threads(3, work)
    run_on_threads(3, lambda board, me, all_: told(board, me, all_, notes, wrong))  # goes on


def test_a_second_call_works_alone_meanwhile():
    from tuneworthy_cpu.gemm.thread_pool import run_on_threads

    counts, inside = [], []

    def work(board, me, all_):
        counts.append(all_)
        if me == 0:
            run_on_threads(2, lambda board, me, all_: inside.append(all_))

    run_on_threads(2, work)
    assert counts == [2, 2]
    assert inside == [1]


def test_after_a_call_that_waited_long_some_go_alone():
    from tuneworthy_cpu.gemm import thread_pool as _team

    counts: list[int] = []

    def work(board, me, all_):
        if me == 0:
            counts.append(all_)
        if len(counts) == 1:
            board[_team._WAITED] = _team._MUCH + 1

    for _ in range(_team._REST + 3):
        _team.run_on_threads(2, work)
    assert counts == [2, *[1] * _team._REST, 2, 2]


def test_waiting_is_counted_where_somebody_is_late(told):
    from tuneworthy_cpu.gemm import thread_pool as _team

    notes, wrong = np.zeros((1, 2), np.int64), np.zeros(2, np.int64)
    boards: list[np.ndarray] = []

    def work(board, me, all_):
        boards.append(board)
        time.sleep(0.25 * me)  # the other one may wait for a core as well
        told(board, me, all_, notes, wrong)

    _team.run_on_threads(2, work)
    assert boards[0][_team._WAITED] > _team._MUCH


def test_where_products_are_not_taken_here_nobody_is_asked_to_help(monkeypatch):
    from tuneworthy_cpu.gemm import thread_pool as _team

    monkeypatch.setattr(_team, "own_gemm_available", lambda: False)
    counts: list[int] = []
    _team.run_on_threads(2, lambda board, me, all_: counts.append(all_))
    assert counts == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_process_has_helpers_of_its_own():
    from tuneworthy_cpu.gemm.thread_pool import run_on_threads

    names: list[int] = []
    run_on_threads(2, lambda board, me, all_: names.append(threading.get_ident()))
    assert len(set(names)) == 2
    child = os.fork()
    if child == 0:
        seen: list[int] = []
        run_on_threads(2, lambda board, me, all_: seen.append(me))
        os._exit(0 if sorted(seen) == [0, 1] else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def threads():
    """Set how many threads torch has, for one test."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_team_makes_lists_of_calls_at_once_and_each_in_its_order(threads):
    from tuneworthy_cpu.gemm.thread_pool import ThreadPool

    threads(3)
    barrier, order = threading.Barrier(3, timeout=60), {n: [] for n in range(5)}

    def calls(n, meets):
        def note(turn):
            if turn == 0 and meets:
                barrier.wait()  # broken where not all three are here at once
            order[n].append((turn, threading.get_ident()))

        return [lambda turn=turn: note(turn) for turn in range(20)]

    team = ThreadPool()
    with team:
        for _ in range(50):
            for notes in order.values():
                notes.clear()
            team.share([calls(0, True), calls(1, True), calls(2, True), calls(3, False)])
            assert all([turn for turn, _ in order[n]] == [*range(20)] for n in range(4))
            who = [{thread for _, thread in order[n]} for n in range(4)]
            assert len(set.union(*who[:3])) == 3
            assert who[3] == who[0] == {threading.get_ident()}  # there are two helpers
        team.share([calls(4, False)])
        assert len(order[4]) == 20
    team.share([calls(4, False)])  # nobody is there to help
    assert {thread for _, thread in order[4]} == {threading.get_ident()}


@pytest.mark.parametrize("at", [0, 1])
def test_an_error_in_a_shared_call_reaches_the_caller_and_the_team_goes_on(threads, at):
    from tuneworthy_cpu.gemm.thread_pool import ThreadPool

    threads(2)
    done = []

    def wrong():
        raise ArithmeticError("here")

    def slow():
        time.sleep(0.05)
        done.append(1)

    with ThreadPool() as team:
        lists = [[slow], [slow]]
        lists[at] = [wrong, slow]
        with pytest.raises(ArithmeticError, match="here"):
            team.share(lists)
        assert done == [1]  # the other list was made to its end
        team.share([[slow], [slow]])
        assert done == [1, 1, 1]
    assert not team.lists  # calls hold the memory that they work on
    assert team.fault is None
