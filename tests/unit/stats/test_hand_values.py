"""Values of the statistics that were counted by hand, or a second time in another way."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from tuneworthy.stats import clusters, many, power
from tuneworthy.stats.bounds import paired
from tuneworthy.stats.prediction_powered import prediction_powered_mean
from tuneworthy.stats.selective import scan_tail, tempered
from tuneworthy.stats.trend import _lag_weights

TAIL = 0.025


@pytest.mark.parametrize("factor", [1.0, 1.2])
def test_the_power_of_groups_is_that_of_all_outcomes_together(factor):
    groups, size, differ, gain = 14, 3, 0.5, 0.4
    win, lose, total = (differ + gain) / 2, (differ - gain) / 2, 0.0
    numbers = np.repeat(np.arange(groups), size)
    for wins in range(groups + 1):
        for losses in range(groups + 1 - wins):
            same = groups - wins - losses
            values = np.repeat([1.0, -1.0, 0.0], [wins * size, losses * size, same * size])
            seen = paired(values, TAIL, groups=numbers)
            if seen.mean - factor * (seen.mean - seen.low) > 0:
                total += multinomial.pmf([wins, losses, same], groups, [win, lose, 1 - win - lose])
    assert 0.2 < total < 0.95
    assert power.grouped_power(groups, size, differ, gain, TAIL, factor) == pytest.approx(
        total, abs=2e-3
    )


def test_two_rows_of_one_group_among_many_are_one_unit():
    scores = np.array([[1.0], [1.0], [0.0], [0.0], [0.0], [1.0]])
    numbers = np.array([0, 0, 1, 2, 3, 4])
    # off the mean of 1/2: the pair adds up to 1, the others are 1/2 off each
    assert many.covariance(scores, numbers)[0, 0] == pytest.approx((1 + 4 * 0.25) / 36)


def test_the_best_of_two_arms_is_bounded_for_both():
    level = many.best_of_many_level(np.eye(2), 0.02)
    assert level == pytest.approx(1 - 0.98**0.5, rel=0.1)
    assert level < 0.013


def test_folds_that_disagree_are_weighed_against_the_scatter_that_groups_widen():
    values, of = np.array([1.0, 0, 0, 0, 1, 1, 1, 0]), np.repeat([0, 1], 4)
    # variance 1/4, fold means 1/4 and 3/4: their variance is 1/8; rows alone would give 1/16
    plain = clusters.fold_width_factor(values, clusters.Folds(of), 1.0)
    assert plain == pytest.approx(np.sqrt(1 + (1 / 8 - 1 / 16) * 1.5 * 8 / 0.25))
    wide = clusters.fold_width_factor(values, clusters.Folds(of), 1.0, wide=1.2)
    spread = 0.25 * 1.44
    assert wide == pytest.approx(np.sqrt(1 + (1 / 8 - spread / 4) * 1.5 * 8 / spread))


def test_a_rare_error_that_was_not_seen_counts_by_the_share_that_the_judge_decides():
    rng = np.random.default_rng(5)
    n, certain = 200, np.zeros(200, bool)
    certain[:150] = True
    judge = rng.integers(0, 2, n).astype(float)
    human = np.where(certain, np.nan, judge)
    human[170:] = np.nan
    rare = prediction_powered_mean((judge, human, certain), 0.05, lowest=0.0)
    # 20 graded rows and one assumed: a shift of 1/21, counted by the quarter of all rows
    shift, share = np.append(np.zeros(20), 1.0), 0.25
    rows = judge.var() / 199 * 20 / 19
    margin = 1.7291328 * np.sqrt(rows + share**2 * shift.var(ddof=1) / 21)
    assert rare.high == pytest.approx(judge.mean() + share / 21 + margin, abs=1e-6)


def test_a_scan_of_three_tests_is_as_wrong_as_all_counted_out():
    counts, limit, error = (10, 20, 30), 0.3, 0.15

    def chance(tail):
        allowed = [sum(binom.cdf(np.arange(count), count, limit) <= tail) for count in counts]
        wrong = np.array(list(product(range(11), repeat=3)))
        passes = (np.cumsum(wrong, 1) < allowed).any(1)
        return float(binom.pmf(wrong, 10, limit).prod(1)[passes].sum())

    tail = scan_tail(counts, limit, error)
    assert chance(tail) <= error < chance(tail * 1.002)


def test_a_tempered_row_keeps_probabilities_near_0():
    assert tempered([1 - 1e-9, 1e-9], 1.0)[1] == pytest.approx(1e-9, rel=1e-6)
    assert tempered([0.8, 0.2], 2.0).tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_weights_of_lags_are_triangles_of_autocovariances():
    n = 63
    weights, less = _lag_weights(n)
    rows = np.random.default_rng(2).normal(size=n)
    rows -= rows.mean()
    waves = np.abs(np.fft.rfft(rows))[1:] ** 2
    shapes = [(1, 1), (1, 4), (1, 9), *((step, 4) for step in range(2, 21))]
    alike = [float(rows @ np.roll(rows, lag)) for lag in range(n)]
    for found, (step, reach) in zip(waves @ weights, shapes, strict=True):
        times = range(1, max(1, min(reach, n // 2 // step)) + 1)
        sums = sum((1 - k / (len(times) + 1)) * alike[k * step] for k in times)
        assert 2 * found == pytest.approx(sums, abs=1e-3), "half of the spectrum"
    assert less.tolist() == [0.0] * 3 + [1.0] * 19
