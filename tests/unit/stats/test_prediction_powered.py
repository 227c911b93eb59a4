"""A judge's mean corrected by humans covers under a biased judge; the judge alone does not."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tuneworthy.measure.calibration import slope, weighted_kappa
from tuneworthy.stats.clusters import cluster_width_factor
from tuneworthy.stats.prediction_powered import (
    corrected_values,
    prediction_powered_mean,
    slope_on_judge,
)


def world(rng, n, bias):
    """Human paired differences, and a judge's, which favours the first arm by `bias`."""
    human = rng.choice([-1.0, 0.0, 1.0], size=n, p=[0.15, 0.6, 0.25])
    noise = rng.random(n) < 0.1
    judge = np.where(noise, rng.choice([-1.0, 0.0, 1.0], size=n), human)
    return np.where(rng.random(n) < bias, 1.0, judge), human


def rows(judge, human, m, certain=None):
    """Judge, human grades of the first m rows alone, and which rows are certain (none)."""
    some = np.where(np.arange(judge.size) < m, human, np.nan)
    return judge, some, np.zeros(judge.size, bool) if certain is None else certain


def shares(bias, m, n, runs, seed=0):
    """How often the corrected interval and the judge's own hold the true difference of .1."""
    rng, corrected, alone = np.random.default_rng([seed, m, n]), 0, 0
    for _ in range(runs):
        judge, human = world(rng, n, bias)
        found = prediction_powered_mean(rows(judge, human, m), 0.025)
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
@pytest.mark.parametrize(("m", "n"), [(30, 200), (50, 200), (50, 1000), (100, 500), (200, 200)])
def test_p19_coverage_by_cell(bias, m, n):
    assert shares(bias, m, n, 2000, seed=1)[0] >= 0.95 - 3 * (0.95 * 0.05 / 2000) ** 0.5


def test_the_formula_of_the_design():
    rng = np.random.default_rng(3)
    judge, human = world(rng, 200, 0.3)
    found = prediction_powered_mean(rows(judge, human, 60), 0.05)
    shift = human[:60] - judge[:60]
    both = np.cov(judge[:60], shift)
    se = np.sqrt(judge.var(ddof=1) / 200 + both[1, 1] / 60 + 2 * both[0, 1] / 200)
    assert found.mean == pytest.approx(judge.mean() + shift.mean())
    assert found.high - found.mean == pytest.approx(1.6711 * se, rel=0.02)  # t, 59 degrees
    wider = prediction_powered_mean(rows(judge, human, 60), 0.05, width=lambda values: 1.5)
    assert wider.high - wider.mean == pytest.approx(1.5 * (found.high - found.mean))


def test_with_every_row_graded_the_judge_does_not_count():
    human = np.array([1.0, 0.0, -1.0] * 20)
    for judge in (np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 60), -human):
        found = prediction_powered_mean(rows(judge, human, 60), 0.05)
        assert found.mean == pytest.approx(0)
        t_bound = 1.6711 * human.std(ddof=1) / np.sqrt(60)
        assert found.high == pytest.approx(t_bound, rel=0.02)


def test_rows_that_are_certain_neither_move_nor_dilute_the_correction():
    """60 % certain 1; of the rest half are right, and the judge accepts all."""
    certain = np.arange(500) % 5 < 3
    human = np.where(certain, 1.0, np.arange(500) // 5 % 2)
    found = prediction_powered_mean(rows(np.ones(500), human, 300, certain), 0.025, lowest=0.0)
    assert found.mean == pytest.approx(0.8)
    assert 0.07 < found.high - found.low < 0.1
    graded = np.where(certain | (np.arange(500) < 300), human, np.nan)
    diluted = prediction_powered_mean((np.ones(500), graded, np.zeros(500, bool)), 0.025)
    assert diluted.low > 0.8  # negative control: counted as graded, they hide the judge's bias
    values = corrected_values(*rows(np.ones(500), human, 300, certain))
    assert set(values[certain]) == {1.0}
    assert values.mean() == pytest.approx(found.mean)


def test_the_width_is_taken_of_the_corrected_values_and_holds_where_the_bias_has_groups():
    """A judge that passes everything in half of the groups: its own scores show no groups."""
    groups = np.arange(400) // 10
    human = (np.arange(400) % 2 == groups % 2).astype(float) * (groups % 4 < 2)
    judge = np.arange(400) % 2.0
    seen = []

    def width(values):
        seen.append(cluster_width_factor(values, groups, 0.025))
        return seen[-1]

    found = prediction_powered_mean(rows(judge, human, 400), 0.025, width=width)
    assert cluster_width_factor(judge, groups, 0.025) < 1.1
    assert seen[0] > 1.5
    plain = prediction_powered_mean(rows(judge, human, 400), 0.025)
    assert found.high - found.mean == pytest.approx(seen[0] * (plain.high - plain.mean))


def test_no_seen_error_is_no_proof_that_there_is_none():
    same = np.zeros(250)
    found = prediction_powered_mean(rows(same, same, 50), 0.05)
    assert found.low < -0.01 < 0.01 < found.high
    with pytest.raises(ValueError, match="1 graded rows: two at least"):
        prediction_powered_mean(rows(same, same, 1), 0.05)


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
    human = np.array([1.0, 0.0, 1.0, 1.0])
    found = prediction_powered_mean(rows(human, human, 4), 0.05, width=lambda values: np.inf)
    assert (found.low, found.high) == (-1.0, 1.0)
    assert prediction_powered_mean(rows(human, human, 4), 0.05).low > -1.0


def test_a_judge_that_knows_nothing_costs_nothing_by_its_slope():
    """With the slope the bounds are those of the grades alone; in full the judge widens them."""
    rng = np.random.default_rng(4)
    human, judge = (rng.choice([-1.0, 0.0, 1.0], size=400) for _ in range(2))
    table = rows(judge, human, 60)
    sloped, full = (prediction_powered_mean(table, 0.025, sloped=on) for on in (True, False))
    assert sloped.high - sloped.low < 0.85 * (full.high - full.low)
    assert slope_on_judge(human[:60], human[:60]) == 1
    assert slope_on_judge(-human[:60], human[:60]) == 0
    assert slope_on_judge(judge[:19], human[:19]) == 1, "too few rows to estimate a slope"
    assert slope_on_judge(np.zeros(60), human[:60]) == 1, "a judge that says one thing"


def test_p19_the_slope_keeps_the_coverage():
    rng, inside = np.random.default_rng(8), 0
    for _ in range(400):
        judge, human = world(rng, 300, 0.3)
        found = prediction_powered_mean(rows(judge, human, 40), 0.025, sloped=True)
        inside += found.low <= 0.1 <= found.high
    assert inside / 400 >= 0.95 - 3 * (0.95 * 0.05 / 400) ** 0.5
