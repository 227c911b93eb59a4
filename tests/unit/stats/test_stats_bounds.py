"""Rates, means and paired differences: worked numbers, degenerate data, negative controls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm, t

from tuneworthy.stats import bounds, graded
from tuneworthy.stats.clusters import (
    Folds,
    cluster_numbers,
    cluster_width_factor,
    effective_groups,
    fold_width_factor,
)
from tuneworthy.stats.graded import bca_bounds, clopper_pearson, discordant_bounds


def diffs(wins, losses, n):
    return np.r_[np.ones(wins), -np.ones(losses), np.zeros(n - wins - losses)]


@pytest.mark.parametrize(
    ("wins", "losses", "mean", "low", "high"),
    [(18, 8, 0.040, -0.026, 0.111), (41, 14, 0.108, 0.016, 0.204), (46, 14, 0.128, 0.033, 0.227),
     (20, 3, 0.068, 0.012, 0.137), (27, 5, 0.088, 0.021, 0.166), (8, 3, 0.020, -0.025, 0.072)],
)  # fmt: skip
def test_the_worked_example(wins, losses, mean, low, high):
    found = bounds.paired(diffs(wins, losses, 250), 0.05 / 3, bounds.width_factor(5, 50, 200))
    assert found[:3] == pytest.approx((mean, low, high), abs=5.1e-4)
    assert found[3:] == (wins, losses, wins + losses, 250)
    mirrored = bounds.paired(-diffs(wins, losses, 250), 0.05 / 3, 1.5)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((found.low, found.high), abs=1e-8)


def test_one_pair_has_the_bounds_that_it_has_among_many():
    rng = np.random.default_rng(5)
    n = 300
    losses = rng.integers(0, 60, 200) / 2
    wins = losses + rng.integers(0, 40, 200)
    levels = 10 ** rng.uniform(-5, -1, 200)
    many = np.array(discordant_bounds(wins, losses, n, levels))
    alone = [discordant_bounds(w, x, n, a) for w, x, a in zip(wins, losses, levels, strict=True)]
    assert (many == np.array(alone).T).all(), "bit for bit"


def test_width_factor_of_the_folds():
    assert bounds.width_factor(5, 50, 200) == pytest.approx(1.5)
    assert bounds.width_factor(2, 50, 200) == pytest.approx(1.2247, abs=1e-4)
    assert bounds.width_factor(1, 75, 175) == 1.0


def test_rates_equal_the_exact_interval_and_150_of_150_show_976():
    for k, n in ((0, 1), (1, 1), (0, 30), (7, 20), (150, 150)):
        exact = binomtest(k, n).proportion_ci(method="exact")
        assert bounds.rate(k, n) == pytest.approx((exact.low, exact.high))
    assert bounds.rate(150, 150)[0] == pytest.approx(0.976, abs=5e-4)
    for k, n in ((0, 0), (3, 2), (-1, 4)):
        with pytest.raises(ValueError):
            bounds.rate(k, n)


RATES, SIZES = (0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99), (20, 50, 100, 200, 500)


def exact_coverage(interval, n, p):
    k = np.arange(n + 1)
    low, high = interval(k, n)
    return binom.pmf(k, n, p)[(low <= p) & (p <= high)].sum()


def test_p19_clopper_pearson_covers_in_every_cell_and_wilson_does_not():
    def ours(k, n):
        return clopper_pearson(k, n, 0.025)

    def wilson(k, n):
        z, share = 1.959964, k / n
        middle, half = (
            share + z * z / 2 / n,
            z * np.sqrt(share * (1 - share) / n + z * z / 4 / n**2),
        )
        return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)

    cells = [(n, p) for n in SIZES for p in RATES]
    assert min(exact_coverage(ours, *cell) for cell in cells) >= 0.9435
    assert sum(exact_coverage(wilson, *cell) < 0.9435 for cell in cells) == 11


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([-1.0, 0.0, 1.0]) | st.floats(-1, 1), min_size=1, max_size=30),
    st.booleans(),
    st.booleans(),
)
def test_bounds_are_finite_ordered_and_inside_the_range(values, grouped, folded):
    n = len(values)
    groups = np.arange(n) // 2 if grouped else None
    folds = Folds(np.arange(n) % 5, 0.02) if folded else None
    found = bounds.paired(values, 0.0125, 1.5, groups, folds)
    assert -1 <= found.low <= found.mean <= found.high <= 1
    mean, low, high = bounds.mean_interval(np.abs(values), groups=groups)
    assert 0 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 1


def test_degenerate_data_is_answered_or_refused():
    for empty in (bounds.paired, bounds.mean_interval):
        with pytest.raises(ValueError, match="no rows"):
            empty([], 0.05)
        with pytest.raises(ValueError, match="finite"):
            empty([0.5, float("nan")], 0.05)
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        bounds.paired([1.5], 0.05)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        bounds.mean_interval([-0.5])
    one = bounds.paired([1.0], 0.0125)
    assert one.low < 0 < one.high == 1.0
    ties = bounds.paired(np.zeros(250), 0.0125)
    assert (ties.mean, ties.differ) == (0.0, 0)
    assert ties.low == pytest.approx(-ties.high)
    assert 0 < ties.high < 0.03  # a bootstrap says [0, 0]
    assert bounds.paired([0.1 + 0.2 - 0.3] * 20, 0.05).differ == 0
    same = bounds.paired(np.full(40, 0.25), 0.05)
    assert same.low < same.mean == 0.25 < same.high
    assert bounds.paired(np.ones(20), 0.05).high == pytest.approx(1)
    assert bounds.paired(-np.ones(20), 0.05).low == pytest.approx(-1)
    assert bounds.mean_interval(np.zeros(9))[:2] == (0.0, 0.0)
    assert bounds.mean_interval(np.ones(9))[2] == 1.0
    mean, low, high = bounds.mean_interval(np.full(50, 0.7))
    assert low < mean < high


def test_graded_bounds_shrink_with_rows_and_ignore_their_order():
    rng = np.random.default_rng(2)
    values = rng.normal(0.1, 0.2, 400).clip(-1, 1)
    small, large = bounds.paired(values[:60], 0.0125), bounds.paired(values, 0.0125)
    assert large.high - large.low < small.high - small.low
    again = bounds.paired(values[::-1], 0.0125)
    assert again[1:3] == pytest.approx(large[1:3])
    normal = 2.2414 * values.std() / 20
    assert large.high - large.mean == pytest.approx(normal, rel=0.2)
    mean, low, high = bounds.mean_interval(np.abs(values))
    assert low < mean < high < 0.3


def test_a_rare_loss_that_was_not_seen_is_allowed_for():
    seen = np.r_[np.full(40, 0.2), np.full(10, 0.4)]
    assert bca_bounds(seen, 0.025)[0] > 0.2  # the plain bootstrap is sure
    assert bounds.paired(seen, 0.025).low < 0.2
    assert bounds.mean_interval(seen)[1] < bca_bounds(seen, 0.025)[0]


def test_groups_widen_and_singletons_do_not():
    rng = np.random.default_rng(3)
    shared = np.repeat(rng.choice([-1.0, 0.0, 1.0], 60, p=[0.1, 0.7, 0.2]), 5)
    groups = np.repeat(np.arange(60), 5)
    plain, grouped = bounds.paired(shared, 0.0125), bounds.paired(shared, 0.0125, groups=groups)
    ratio = (grouped.high - grouped.mean) / (plain.high - plain.mean)
    assert np.sqrt(5) * 0.95 < ratio < np.sqrt(5) * 1.12  # and t with 59 degrees of freedom
    for values in (shared, shared * 0.5):
        alone = bounds.paired(values, 0.0125, groups=np.arange(300))
        assert alone == bounds.paired(values, 0.0125)
        unnamed = bounds.paired(values, 0.0125, groups=[None] * 300)
        assert unnamed == alone
        assert bounds.paired(values, 0.0125, groups=["a"] * 300)[1:3] == (-1.0, 1.0)
    graded = bounds.paired(shared * 0.5, 0.0125, groups=groups)
    free = bounds.paired(shared * 0.5, 0.0125)
    assert graded.high - graded.low > 1.8 * (free.high - free.low)
    few = bounds.paired(np.r_[0.5, np.zeros(19)], 0.0125, groups=np.arange(20) // 2)
    assert few.high > bounds.paired(np.r_[0.5, np.zeros(19)], 0.0125).high
    with pytest.raises(ValueError, match="groups"):
        bounds.paired(shared, 0.05, groups=[1])
    rated = bounds.mean_interval(np.abs(shared), groups=groups)
    assert rated[2] - rated[1] > 1.8 * np.diff(bounds.mean_interval(np.abs(shared))[1:])[0]


def test_clusters_of_equal_rows_without_spread_leave_the_width():
    many = cluster_width_factor(np.zeros(80), cluster_numbers(np.arange(80) // 2, 80), 0.05)
    assert many == pytest.approx(1.6849 / 1.6449, abs=1e-3)  # t with 39 degrees of freedom
    few = cluster_width_factor(np.zeros(8), cluster_numbers(np.arange(8) // 2, 8), 0.05)
    assert few == pytest.approx(2.3534 / 1.6449, abs=1e-3)
    uneven = cluster_numbers(np.repeat(np.arange(4), (17, 1, 1, 1)), 20)
    assert effective_groups(uneven) == pytest.approx(400 / 292)
    assert np.isinf(cluster_width_factor(np.zeros(20), uneven, 0.05))


def test_folds_that_disagree_widen_and_folds_that_agree_do_not():
    folds = np.arange(250) % 5
    calm = np.tile([1.0, 0.0, 0.0, 0.0, -1.0], 50)[np.argsort(folds, kind="stable").argsort()]
    found = bounds.paired(calm, 0.0125, 1.5, folds=Folds(folds))
    assert found == bounds.paired(calm, 0.0125, 1.5)
    torn = np.where(folds < 2, 1.0, 0.0) * (np.arange(250) % 2)
    wide = bounds.paired(torn, 0.0125, 1.5, folds=Folds(folds))
    assert wide.high - wide.low > 1.3 * np.diff(bounds.paired(torn, 0.0125, 1.5)[1:3])[0]
    for steady in (np.zeros(250), np.ones(250)):
        assert fold_width_factor(steady, Folds(folds), 1.5) == 1.5
    assert fold_width_factor(torn, Folds(np.zeros(250, int)), 1.5) == 1.5
    assert fold_width_factor(torn, Folds(folds), 1.5, float("inf")) == 1.5
    taken = bounds.paired(calm, 0.0125, 1.5, folds=Folds(folds, 0.02))
    more = 0.02**2 * 1.2 / (calm.var() / 250)
    assert taken.high - taken.mean == pytest.approx(
        (found.high - found.mean) * np.sqrt(1.5**2 + more) / 1.5
    )
    assert fold_width_factor(torn, Folds(folds, 0.02), 1.5) == fold_width_factor(
        torn, Folds(folds), 1.5
    )
    assert fold_width_factor(torn, Folds(np.zeros(250, int), 0.02), 1.5) == 1.5


def test_an_arm_that_learns_has_a_score_as_uncertain_as_its_folds():
    steady = np.tile([1.0, 1.0, 1.0, 0.0], 60)
    folds = np.repeat(np.arange(5), 48)
    alone = bounds.mean_interval(steady)
    fitted = bounds.mean_interval(steady, factor=1.5, folds=Folds(folds))
    assert fitted[0] == alone[0] == 0.75
    assert fitted[2] - fitted[0] == pytest.approx(1.5 * (alone[2] - alone[0]))
    torn = np.r_[np.ones(120), np.tile([1.0, 0.0], 60)]
    wide = bounds.mean_interval(torn, factor=1.5, folds=Folds(folds))
    assert wide[2] - wide[1] > 2 * np.diff(bounds.mean_interval(torn)[1:])[0]


def test_graded_bounds_are_never_narrower_than_students_t():
    rng = np.random.default_rng(6)
    values = np.where(rng.random(60) < 0.1, rng.choice([-0.9, 0.9], 60), rng.normal(0, 0.05, 60))
    found = bounds.paired(values, 0.0125)
    half = t.ppf(0.9875, 59) * values.std(ddof=1) / np.sqrt(60)
    assert found.low <= values.mean() - half + 1e-8
    assert found.high >= values.mean() + half - 1e-8
    assert bca_bounds(values, 0.0125)[1] < found.high


def test_the_order_of_a_sum_does_not_decide_what_ties_with_the_mean():
    values = np.repeat([0.2, -0.2, 0.4, 0.0], 25)
    assert bca_bounds(values, 0.0125) == pytest.approx(
        bca_bounds(values + 0.1 - 0.1, 0.0125), abs=1e-12
    )


def test_levels_pay_for_looks_and_rivals_and_keep_a_reserve_with_few():
    assert bounds.level(0.05, 1, 7) == pytest.approx(0.035 / 6)
    assert bounds.level(0.05, 2, 7) == pytest.approx(0.035 / 24)
    assert bounds.level(0.05, 1, 2) == bounds.level(0.05, 1, 1) == pytest.approx(0.035)
    assert bounds.level(0.05, 2) < 0.035
    for wrong in ((0, 2), (1, 0)):
        with pytest.raises(ValueError):
            bounds.level(0.05, *wrong)


def test_with_few_0_the_score_bound_holds_at_any_count():
    """Without a differing row it is z² / (n + z²), from Tango's statistic; the exact is wider."""
    z = float(norm.ppf(0.975))
    none = bounds.paired(np.zeros(60), 0.025, few=0)
    assert none.high == pytest.approx(z * z / (60 + z * z), abs=1e-9)
    assert none.low == pytest.approx(-none.high, abs=1e-9)
    assert bounds.paired(np.zeros(60), 0.025).high > none.high
    many = np.array([1.0] * 20 + [0.0] * 40)
    assert bounds.paired(many, 0.025, few=0) == bounds.paired(many, 0.025)


def test_students_interval_of_one_value_says_nothing():
    assert graded.student_t_bounds(np.array([0.4]), 0.05) == (-1.0, 1.0)
    low, high = graded.student_t_bounds(np.array([0.4, 0.6]), 0.05)
    assert -1.0 < low < 0.5 < high


def test_bootstrap_means_are_the_same_with_counts_kept_or_not(monkeypatch):
    rng = np.random.default_rng(4)
    sums, sizes = rng.normal(size=90), rng.integers(1, 5, 90).astype(float)
    kept = graded.bootstrap_means(sums, sizes, 2000)
    monkeypatch.setattr(graded, "_MOST_KEPT", 0)
    assert graded.bootstrap_means(sums, sizes, 2000) == pytest.approx(kept, abs=1e-12)
    assert graded.bootstrap_means(sums, np.ones(90), 2000) != pytest.approx(kept, abs=1e-3)
