"""Rows needed: planted curves are found, early or noisy ones refused, a flat one never promised."""

import numpy as np
import pytest
from scipy.stats import norm

from tuneworthy.measure.further import learning_curve
from tuneworthy.measure.further.learning_curve import CurveScores, rows_needed

SIZES = (50, 100, 200, 400)


def planted(curve, rng, sizes=SIZES, rival=0.3, n=500, folds=5):
    """Return cells of a world: cases of one difficulty, folds that each learn a little apart."""
    fold, hard = np.arange(n) % folds, rng.normal(size=n)
    scores = []
    for size in sizes:
        right = 1 - curve(size) + rng.normal(0, 0.01 * np.sqrt(sizes[-1] / size), folds)
        z = 0.85 * hard + np.sqrt(1 - 0.85**2) * rng.normal(size=n)
        scores.append(z < norm.ppf(np.clip(right, 1e-3, 1 - 1e-3))[fold])
    z = 0.7 * hard + np.sqrt(0.51) * rng.normal(size=n)
    beat = (z < norm.ppf(1 - rival)).astype(float)
    return CurveScores(np.array(scores, float).T, beat, np.arange(n), fold)


def half(size):
    return 2.5 / size**0.5 + 0.05  # reaches .25 at 156 rows, .20 at 278


def before_the_bend(size):
    return 0.9 * 1e5 / (1e5 + size**2.2)


def flat(size):
    return 0.5


def named(curve, truth, worlds, **more):
    """Return how many worlds got a number, and how many of those intervals hold the truth."""
    rng, said, held = np.random.default_rng(5), 0, 0
    for seed in range(worlds):
        found = rows_needed(more.get("sizes", SIZES), planted(curve, rng, **more), 0.05, seed)
        if found.rows is not None:
            said += 1
            held += found.low <= truth <= found.high
    return said, held


def test_a_planted_number_of_rows_is_found():
    said, held = named(half, 156, 5)
    assert said >= 4
    assert held >= said - 1


def test_beyond_the_rows_at_hand_it_is_found_or_refused_never_named_far():
    said, held = named(half, 278, 5, rival=0.25, sizes=(25, 50, 100, 200))
    assert held >= said - 1
    far = named(half, 2500, 5, rival=0.15, sizes=(25, 50, 100, 200))
    assert far[0] <= 1


def test_before_the_bend_nothing_is_concluded():
    rng = np.random.default_rng(2)
    found = rows_needed((10, 20, 40, 80), planted(before_the_bend, rng, (10, 20, 40, 80)), 0.05)
    assert found.rows is None
    assert "steepens" in found.because


def test_a_learner_that_learns_nothing_is_promised_nothing():
    rng = np.random.default_rng(3)
    found = [rows_needed(SIZES, planted(flat, rng), 0.05, seed) for seed in range(5)]
    assert [one.rows for one in found] == [None] * 5
    assert all(one.because for one in found)


def test_few_cases_make_the_interval_too_wide_to_name():
    cells = planted(half, np.random.default_rng(4), (20, 40, 80, 160), n=40)
    found = rows_needed((20, 40, 80, 160), cells, 0.05)
    assert found.rows is None


def test_two_seeds_on_the_same_cases_are_less_sure_than_their_cells():
    cells = planted(half, np.random.default_rng(6), n=250, folds=1)
    twice = CurveScores(
        np.concatenate([cells.scores, cells.scores]), np.concatenate([cells.rival, cells.rival]),
        np.tile(cells.cases, 2), np.repeat([0, 1], 250),
    )  # fmt: skip
    apart = twice._replace(cases=np.arange(500))  # as if they were 500 cases
    one, other = (rows_needed(SIZES, each, 0.05) for each in (twice, apart))
    width = [found.high / found.low if found.rows else np.inf for found in (one, other)]
    assert width[0] > width[1]


def test_two_sizes_or_no_cases_say_nothing():
    cells = planted(half, np.random.default_rng(1), SIZES[:2], n=20)
    assert "2 sizes" in rows_needed(SIZES[:2], cells, 0.05).because
    none = CurveScores(np.zeros((0, 3)), np.zeros(0), np.zeros(0, int), np.zeros(0, int))
    assert "no case" in rows_needed(SIZES[:3], none, 0.05).because
    with pytest.raises(ValueError):
        rows_needed((2, 1, 3), cells, 0.05)


@pytest.mark.long
def test_the_interval_holds_the_planted_number_four_times_in_five():
    for curve, truth, rival in ((half, 156, 0.3), (half, 278, 0.25)):
        said, held = named(curve, truth, 200, rival=rival)
        assert said >= 100
        assert 0.7 <= held / said <= 0.9


def test_one_case_in_several_repeats_is_drawn_by_its_repeats():
    scores = np.array([[0.2, 0.4, 0.6], [0.4, 0.6, 0.8]])
    cells = CurveScores(scores, np.array([0.5, 0.5]), np.zeros(2, int), np.arange(2))
    drawn = learning_curve._bootstrap_scores(cells, seed=0)
    assert np.ptp(drawn[:, 0]) > 0
    assert (drawn >= 0.2).all()
