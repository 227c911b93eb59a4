"""N17: the betting confidence sequence, its worked example, ranges, and bets of changing size."""

import numpy as np
import pytest
import stats_votes
from stats_looks import not_rejected

from tuneworthy.records.settlement import share_of_wrong_votes
from tuneworthy.stats.betting import (
    BettingTest,
    ConfidenceSequence,
    candidate_means,
)


def worked():
    """Return the 420 new inputs of the worked example: 14 wins, 9 losses, the rest ties."""
    values = np.array([1.0] * 14 + [-1.0] * 9 + [0.0] * 397)
    return np.random.default_rng(7).permutation(values)


def test_the_worked_example_is_firm_at_input_351():
    found, highs = ConfidenceSequence(0.05 / 3 / 2), []
    for value in worked():
        found.see(value, value, 420)
        highs.append(found.high)
    assert next(at for at, high in enumerate(highs, 1) if high <= 0.05) == 351
    assert (found.low, found.high) == pytest.approx((-0.025, 0.048), abs=1e-3)
    assert found.mean == pytest.approx(worked().mean())
    assert (found.n, found.differ) == (420, 23)


def test_streams_side_by_side_are_streams_one_by_one():
    rng = np.random.default_rng(3)
    streams, candidates = rng.choice([-1.0, 0.0, 1.0], (5, 80)), candidate_means(0.1)
    together = not_rejected(streams, candidates, 0.05)
    for row, stream in zip(together, streams, strict=True):
        assert (row == not_rejected(stream[None], candidates, 0.05)[0]).all()


def test_what_nobody_could_say_never_helps_either_side():
    stream, known, unsure = worked(), ConfidenceSequence(0.025), ConfidenceSequence(0.025)
    for at, value in enumerate(stream):
        known.see(value, value, 420)
        least, most = (-1.0, 1.0) if at % 40 == 0 else (value, value)
        unsure.see(least, most, 420)
    assert unsure.low < known.low
    assert unsure.high > known.high


def test_a_bet_of_changing_size_is_still_a_bet_on_the_past():
    rng = np.random.default_rng(5)
    wrong, runs = 0, 300
    bets = BettingTest(np.array([0.0]), 0.1, runs)
    for at in range(300):
        bets.see(rng.choice([-1.0, 0.0, 1.0], runs, p=[0.1, 0.8, 0.1]), 200 if at < 100 else 600)
    wrong = int((~bets.living[:, 0]).sum())
    assert wrong <= 45  # 10 % + 3 standard errors: the mean is ruled out no oftener


def test_without_a_value_nobody_knows_how_many_more_rows():
    fresh = ConfidenceSequence(0.05)
    assert fresh.rows_left((0.05,), np.array([]), 100) == float("inf")
    assert fresh.rows_left((0.05,), np.zeros(50), 100) < float("inf")


def test_a_mean_that_is_ruled_out_needs_no_further_row():
    found = ConfidenceSequence(0.05)
    for _ in range(60):
        found.see(1.0, 1.0, 60)
    assert found.low > 0.5
    assert found.rows_left((0.2,), np.array([]), 60) == 0.0
    assert found.rows_left((found.high,), np.array([]), 60) == float("inf")


def test_values_that_contradict_every_mean_leave_none_alive():
    bets = BettingTest(candidate_means(0.1), 0.05)
    for value in [1.0] * 80 + [-1.0] * 200:
        last = bets.see(value, 80)
    assert not last.any()
    assert not bets.see(1.0, 80).any()


@pytest.mark.parametrize("allow", [True, False])
def test_wrong_votes_do_not_reject_the_truth(allow):
    """One vote in ten is wrong; taken as right, such votes reject the truth in 18 % of studies."""
    found = stats_votes.settled(np.random.default_rng(9), 400, 0.2, 0.1, 0.1, allow)
    assert (found["rejected"] <= 0.05) is allow


def test_votes_that_agree_keep_the_bets_of_votes_that_are_right():
    """200 pairs shown twice and never told apart: next to no vote is wrong, the prior is gone."""
    assert share_of_wrong_votes(200, 200) < 0.002
    assert share_of_wrong_votes(0, 0) == pytest.approx(0.0528, abs=1e-4)
    assert share_of_wrong_votes(82, 100) == pytest.approx(0.1, abs=0.005)
    assert share_of_wrong_votes(0, 30) == 0.4


def test_bounds_of_votes_that_keep_a_part_are_wider_and_allow_for_the_whole():
    plain, wide = ConfidenceSequence(0.01), ConfidenceSequence(0.01)
    for value in np.random.default_rng(3).choice([1.0, -1.0], 300, p=[0.85, 0.15]):
        plain.see(value, value, 300)
        wide.see(value, value, 300, 0.8)
    assert wide.low == plain.low > 0, "wrong votes make no difference larger than it is"
    assert wide.high > plain.high


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_rows_that_are_left_are_about_those_that_it_takes(share):
    rng, taken = np.random.default_rng(8), []
    values = (rng.random(400) < share).astype(float)
    said = ConfidenceSequence(0.025).rows_left((0.0,), values, 60)
    for _ in range(40):
        found = ConfidenceSequence(0.025)
        while found.low <= 0 and found.n < 400:
            value = float(rng.random() < share)
            found.see(value, value, 60)
        taken.append(found.n)
    assert np.mean(taken) < said < 1.35 * np.mean(taken), "roughly, and rather too many"
