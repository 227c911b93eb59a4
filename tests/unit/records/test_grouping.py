"""Groups of rows of similar cost: every row once, within the budget, with little padding."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from tuneworthy.records.tokens import balanced_groups, similar_length_groups


@given(
    st.lists(st.integers(1, 500), max_size=60), st.integers(1, 20), st.integers(50, 5000),
    st.integers(1, 4),
)  # fmt: skip
@example([7, 1, 1, 1, 1, 1, 1, 1], 8, 50, 1)  # padded to its longest, one run would cost 56
def test_runs_hold_every_row_once_within_the_budget_and_are_alike(costs, rows, most, count):
    costs = sorted(costs, reverse=True)
    runs = balanced_groups(costs, rows, most, count)
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
    runs = similar_length_groups(lengths, least, share, most)
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
        assert similar_length_groups(lengths, 10**9, 0.0, 10**9) == [range(len(lengths))]
