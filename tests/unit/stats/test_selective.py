"""Choosing a threshold: the error that a scan spends, bins and temperatures beside scikit-learn."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from tuneworthy.stats.selective import bin_numbers, scan_tail, temperature, tempered


def counts(n, steps=20):
    return tuple(sorted({-(-n * step // steps) for step in range(1, steps + 1)}))


@pytest.mark.parametrize("limit", [0.02, 0.05, 0.2])
def test_a_scan_is_wrong_as_often_as_it_may_be_in_the_worst_world(limit):
    from scipy.stats import binom

    n, error = 400, 0.05
    tail = scan_tail(counts(n), limit, error)
    wrong = np.random.default_rng(0).random((20_000, n)) < limit
    passes = [binom.cdf(wrong[:, :m].sum(1), m, limit) <= tail for m in counts(n)]
    rate = np.any(passes, 0).mean()
    assert rate <= error + 3 * np.sqrt(error / 20_000)
    assert rate >= 0.5 * error  # it is not won by never passing


def test_one_test_alone_spends_the_whole_error():
    assert scan_tail((400,), 0.05, 0.05) == 0.05


def test_bins_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    p = rng.beta(4, 1, 500)
    right = (rng.random(500) < p).astype(float)
    of = bin_numbers(p)
    own = [(right[of == k].mean(), p[of == k].mean()) for k in range(of.max() + 1)]
    peer = np.array(calibration_curve(right, p, n_bins=10, strategy="quantile")).T
    assert np.abs(np.array(own) - peer).max() < 1e-9


def test_ties_share_a_bin():
    assert set(bin_numbers([0.5] * 30)) == {0}


def test_a_temperature_undoes_a_known_one():
    rng = np.random.default_rng(2)
    true = rng.dirichlet([0.5] * 4, 4000)
    gold = [rng.choice(4, p=row) for row in true]
    stated = [tempered(row, 0.5) for row in true]  # twice too sure
    t = temperature(stated, gold)
    assert t == pytest.approx(2.0, abs=0.1)
    assert tempered(stated[0], t).sum() == pytest.approx(1.0)
