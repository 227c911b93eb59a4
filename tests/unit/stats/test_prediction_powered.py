"""A judge's mean corrected by humans covers under a biased judge; the judge alone does not."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tuneworthy.stats.agreement import slope, weighted_kappa
from tuneworthy.stats.prediction_powered import prediction_powered_mean


def world(rng, n, bias):
    """Human paired differences, and a judge's, which favours the first arm by `bias`."""
    human = rng.choice([-1.0, 0.0, 1.0], size=n, p=[0.15, 0.6, 0.25])
    noise = rng.random(n) < 0.1
    judge = np.where(noise, rng.choice([-1.0, 0.0, 1.0], size=n), human)
    return np.where(rng.random(n) < bias, 1.0, judge), human


def shares(bias, m, n, runs, seed=0):
    """How often the corrected interval and the judge's own hold the true difference of .1."""
    rng, corrected, alone = np.random.default_rng([seed, m, n]), 0, 0
    for _ in range(runs):
        judge, human = world(rng, n, bias)
        found = prediction_powered_mean(judge[m:], judge[:m], human[:m], 0.025)
        corrected += found.low <= 0.1 <= found.high
        se = judge.std(ddof=1) / np.sqrt(n)
        alone += abs(judge.mean() - 0.1) <= 1.96 * se
    return corrected / runs, alone / runs


def test_p19_a_biased_judge_is_corrected_and_alone_it_is_not():
    corrected, alone = shares(bias=0.2, m=60, n=300, runs=400)
    assert corrected >= 0.95 - 3 * (0.95 * 0.05 / 400) ** 0.5
    assert alone < 0.5  # negative control


@pytest.mark.full
@pytest.mark.parametrize("bias", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("m", "n"), [(50, 200), (50, 1000), (100, 500), (200, 200)])
def test_p19_coverage_by_cell(bias, m, n):
    assert shares(bias, m, n, 2000, seed=1)[0] >= 0.95 - 3 * (0.95 * 0.05 / 2000) ** 0.5


def test_the_formula_of_the_design():
    rng = np.random.default_rng(3)
    judge, human = world(rng, 200, 0.3)
    found = prediction_powered_mean(judge[60:], judge[:60], human[:60], 0.05)
    shift = human[:60] - judge[:60]
    se = np.sqrt(judge[60:].var(ddof=1) / 140 + shift.var(ddof=1) / 60)
    assert found.mean == pytest.approx(judge[60:].mean() + shift.mean())
    assert found.high - found.mean == pytest.approx(1.6711 * se, rel=1e-3)  # t, 59 degrees
    wider = prediction_powered_mean(judge[60:], judge[:60], human[:60], 0.05, wide=1.5)
    assert wider.high - wider.mean == pytest.approx(1.5 * (found.high - found.mean))


def test_with_every_row_graded_the_humans_alone_count():
    human = np.array([1.0, 0.0, -1.0] * 20)
    found = prediction_powered_mean([], np.ones(60), human, 0.05)
    assert found.mean == pytest.approx(0)
    assert -0.5 < found.low < 0 < found.high < 0.5


def test_no_seen_error_is_no_proof_that_there_is_none():
    same = np.zeros(50)
    found = prediction_powered_mean(np.zeros(200), same, same, 0.05)
    assert found.low < -0.01 < 0.01 < found.high
    with pytest.raises(ValueError, match="two at least"):
        prediction_powered_mean(same, [0.0], [0.0], 0.05)


def test_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(5)
    for _ in range(50):
        a, b = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
        wanted = cohen_kappa_score(a, b, weights="linear", labels=[0, 1, 2])
        assert weighted_kappa(a, b, 3) == pytest.approx(wanted, abs=1e-9)
    assert weighted_kappa([], [], 3) is None
    assert weighted_kappa([1, 1], [1, 1], 3) is None


def test_the_slope_has_its_interval():
    x = np.arange(20.0)
    steep, low, high = slope(x, 0.5 * x + np.where(x % 2, 0.1, -0.1))
    assert low < steep < high
    assert steep == pytest.approx(0.5, abs=0.01)
    assert slope([1, 1, 1], [1, 2, 3]) is None


def test_a_width_without_end_bounds_nothing():
    human = [1.0, 0.0, 1.0, 1.0]
    found = prediction_powered_mean([], human, human, 0.05, wide=float("inf"))
    assert (found.low, found.high) == (-1.0, 1.0)
    assert prediction_powered_mean([], human, human, 0.05).low > -1.0
