"""Batches side by side: the same answers, errors and thread count as one after the other."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from models_kit import PROMPTS

from tuneworthy.core.grouping import alike, balanced
from tuneworthy.core.model import Limits

pytestmark = pytest.mark.full


@pytest.fixture
def two_threads():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_answers_and_scores_are_those_of_one_lane(engines, two_threads):
    import torch

    engine = engines["llama"]
    prompts = [*PROMPTS, *PROMPTS[:2]]
    texts = [["late", "lost", "broken"]] * len(prompts)
    limits = Limits(max_tokens=12)
    side_by_side = engine.reply(prompts, limits), engine.logprobs(prompts, texts)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    alone = engine.reply(prompts, limits), engine.logprobs(prompts, texts)
    for one, other in zip(side_by_side[0], alone[0], strict=True):
        assert (one.text, one.finish, one.tokens_out) == (
            other.text,
            other.finish,
            other.tokens_out,
        )
    for one, other in zip(side_by_side[1], alone[1], strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_two_lanes_run_at_the_same_time_and_an_error_comes_through(two_threads):
    import threading

    import torch

    from tuneworthy.models.local.parallel import lanes, side_by_side

    both = threading.Barrier(2, timeout=10)

    def work(part):
        both.wait()
        return part, torch.get_num_threads()

    assert side_by_side(work, [1, 2, 3, 4], 2) == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert lanes("cpu", 4) == 2
    assert lanes("cpu", 3) == 1
    assert lanes("cuda", 100) == 1

    def broken(part):
        raise ValueError(part)

    with pytest.raises(ValueError, match="1"):
        side_by_side(broken, [1, 2], 2)
    assert torch.get_num_threads() == 2


@given(
    st.lists(st.integers(1, 500), max_size=60), st.integers(1, 20), st.integers(50, 5000),
    st.integers(1, 4),
)  # fmt: skip
@example([7, 1, 1, 1, 1, 1, 1, 1], 8, 50, 1)  # padded to its longest, one run would cost 56
def test_runs_hold_every_row_once_within_the_budget_and_are_alike(costs, rows, most, count):
    costs = sorted(costs, reverse=True)
    runs = balanced(costs, rows, most, count)
    assert [k for run in runs for k in run] == list(range(len(costs)))
    padded = [costs[run.start] * len(run) for run in runs]
    for run, cost in zip(runs, padded, strict=True):
        assert len(run) <= rows
        assert cost <= most or len(run) == 1
    whole = costs[0] * len(costs) if costs else 0
    if len(costs) >= 2 * count and rows >= len(costs) and whole <= most:
        assert len(runs) <= count
        assert max(padded) <= whole / count + 2 * costs[0]  # no run does most of the work


@given(
    lengths=st.lists(st.integers(1, 300), max_size=60),
    least=st.integers(1, 900),
    share=st.floats(0, 0.5),
    most=st.integers(1, 4000),
)
@example([60, 60, 60], 1, 0.0, 120)  # like lengths, and yet too many tokens for one run
def test_runs_of_like_length_hold_every_row_in_order_and_little_padding(
    lengths, least, share, most
):
    runs = alike(lengths, least, share, most)
    assert [row for run in runs for row in run] == list(range(len(lengths)))
    for run in runs:
        own = [lengths[row] for row in run]
        before = own[:-1]  # the last row came in where the others had too few tokens, or fitted
        padded = max(own) * len(own)
        assert len(own) == 1 or sum(before) < least or padded - sum(own) <= share * padded + 1e-6
        assert len(own) == 1 or padded <= most
    for run, then in pairwise(runs):  # a run that ends early has tokens enough, or no more room
        own = [lengths[row] for row in run]
        full = max([*own, lengths[then.start]]) * (len(own) + 1) > most
        assert full or sum(own) >= least
    if runs:
        assert alike(lengths, 10**9, 0.0, 10**9) == [range(len(lengths))]
