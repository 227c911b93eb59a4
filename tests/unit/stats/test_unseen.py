"""Bounds that allow for a unit that was not seen, and levels for many arms at once."""

import numpy as np
import pytest
import stats_groups
import stats_lossy
from scipy.stats import beta, norm

from tuneworthy.stats import bounds, many, unseen

ONE = np.ones


@pytest.mark.parametrize("n", [1, 2, 5, 20, 75, 400])
@pytest.mark.parametrize("tail", [0.05, 0.035, 0.004, 0.0002])
def test_without_a_difference_it_is_the_exact_bound_of_none_in_n(n, tail):
    found = unseen.gaffke_bound(np.zeros(n), ONE(n), tail)
    exact = 1 - tail ** (1 / n)
    assert exact <= found + 1e-9  # on the safe side
    assert 0.90 <= (1 - found) ** n / tail <= 1.0001
    assert n < 3 or (1 - found) ** n / tail >= 0.95


@pytest.mark.parametrize("k", [1, 3, 7])
def test_for_0_and_1_it_is_clopper_pearson(k):
    values = np.r_[ONE(k), np.zeros(100 - k)]
    exact = beta.ppf(1 - 0.035, k + 1, 100 - k)
    assert unseen.gaffke_bound(values, ONE(100), 0.035) == pytest.approx(exact, rel=0.01)


def test_the_saddlepoint_agrees_with_draws_for_graded_rows_and_groups():
    rng = np.random.default_rng(1)
    for sums, sizes in (
        (rng.normal(0, 0.03, 75), ONE(75)),
        (rng.choice([0.0, 5.0], 30, p=[0.9, 0.1]), np.full(30, 5.0)),
        (rng.normal(0, 1, 40), rng.integers(2, 20, 40).astype(float)),
    ):
        big = sizes.max()
        weights = rng.standard_exponential((100_000, sums.size + 1))
        drawn = (weights[:, :-1] @ sums + weights[:, -1] * big) / (
            weights[:, :-1] @ sizes + weights[:, -1] * big
        )
        found = unseen.gaffke_bound(sums, sizes, 0.035)
        assert (drawn > found).mean() == pytest.approx(0.035, rel=0.08)


def test_a_search_that_is_cut_short_stays_between_the_mean_and_the_end(monkeypatch):
    few = np.r_[ONE(2), np.zeros(28)]
    monkeypatch.setattr(unseen, "_MOST_ITERATIONS", 2)
    assert 2 / 30 < unseen.gaffke_bound(few, ONE(30), 0.05) < 1


def test_many_samples_at_once_are_bounded_as_each_alone():
    rng = np.random.default_rng(9)
    values = rng.normal(0, 0.05, (5, 80))
    tails = np.array([0.05, 0.01, 0.035, 0.002, 0.05])
    units = np.column_stack([values, ONE(5)])
    found = unseen.weighted_mean_quantiles(units, np.ones_like(units), np.ones_like(units), tails)
    alone = [unseen.gaffke_bound(v, ONE(80), t) for v, t in zip(values, tails, strict=True)]
    assert found == pytest.approx(np.array(alone), abs=1e-6)


def test_the_end_of_the_range_and_a_larger_group_than_any_seen():
    assert unseen.gaffke_bound(ONE(20), ONE(20), 0.05) == 1.0
    few = np.r_[ONE(2), np.zeros(28)]
    plain = unseen.gaffke_bound(few, ONE(30), 0.05)
    assert unseen.gaffke_bound(few, ONE(30), 0.05, largest=5) > plain
    assert unseen.gaffke_bound(few, ONE(30), 0.01) > plain
    assert unseen.gaffke_bound(few[::-1], ONE(30), 0.05) == plain
    mirrored = unseen.gaffke_bound(np.full(10, -1.0), ONE(10), 0.05)
    assert -1 < mirrored < 0


def test_noise_does_not_count_as_full_size_differences():
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 0.03, 400)
    assert unseen.count_full_size(noise, ONE(400)) < 1
    assert unseen.count_full_size(np.r_[noise, ONE(12)], ONE(412)) > unseen.ENOUGH_FULL_SIZE
    some, five = np.r_[np.full(12, 5.0), np.full(36, -5.0)], np.full(48, 5.0)
    assert unseen.count_full_size(some, five) == 12
    assert unseen.count_full_size(some, five, largest=10) == 3
    assert unseen.count_full_size(np.full(400, 0.3), ONE(400)) < 1e-20  # what all have in common


def test_groups_that_never_differ_show_no_more_than_their_number():
    ten = bounds.paired(np.zeros(300), 0.035, groups=np.repeat(np.arange(10), 30))
    assert ten.high == pytest.approx(1 - 0.035 ** (1 / 10), rel=0.01)  # 28 points
    rows = bounds.paired(np.zeros(300), 0.035)
    assert rows.high < 0.02


WORST = ("whole groups won, 10 x 30, 12%", "zipf sizes, 20 groups, 12% won",
         "noise hides whole wins, 60 x 5", "graded, whole losses, 10 x 30")  # fmt: skip


@pytest.mark.parametrize("world", WORST)
def test_the_bounds_of_grouped_rows_hold(world):
    cell = stats_groups.cell(np.random.default_rng(3), 120, world)
    assert cell["broken"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
    assert cell["firm and wrong"] <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 120)


@pytest.mark.parametrize("world", ["noise .03, fails 1%, n 75", "noise .03, fails 3%, n 30"])
def test_the_bounds_of_rare_total_losses_hold(world):
    cell = stats_lossy.cell(np.random.default_rng(4), 120, world)
    assert cell["broken"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_rows_alone_break_in_the_worlds_that_groups_are_for():
    draw, truth = stats_groups.WORLDS[WORST[0]]
    rng = np.random.default_rng(5)
    highs = [bounds.paired(draw(rng)[0], 0.035).high for _ in range(100)]
    assert (np.array(highs) < truth).mean() > 0.15


def test_the_levels_of_two_arms_are_that_of_one_bound_and_of_many_lie_above_bonferronis():
    rng = np.random.default_rng(6)
    scores = (rng.random((300, 8)) < 0.5 + 0.3 * rng.random((300, 1))).astype(float)
    two = many.pair_levels(many.covariance(scores[:, :2]), 0.035)
    assert two.tolist() == [0.035, 0.035]
    eight = many.pair_levels(many.covariance(scores), 0.035)
    assert ((eight > 0.035 / 7) & (eight < 0.035)).all()
    same = np.repeat(scores[:, :1], 4, 1)
    assert many.pair_levels(many.covariance(same), 0.035).tolist() == [0.035] * 4
    rivals = np.zeros((8, 8), bool)
    rivals[:, 1] = True
    assert many.pair_levels(many.covariance(scores), 0.035, rivals).tolist() == [0.035] * 8


def test_small_tails_are_bonferronis_and_no_bootstrap_is_drawn_for_them():
    scores = np.random.default_rng(10).random((60, 4))
    found = many.pair_levels(many.covariance(scores), 1e-4)
    assert found == pytest.approx(np.full(4, 1e-4 / 3))
    wide = np.random.default_rng(11).uniform(-1, 1, 200)
    least, less = (bounds.paired(wide, tail).high for tail in (4e-4, 1e-4))
    assert least < less < 1
    assert less >= unseen.gaffke_bound(wide, ONE(200), 1e-4) - 1e-9


def test_a_lead_of_every_row_does_not_hide_that_no_extreme_row_was_seen():
    rng, broken = np.random.default_rng(12), 0
    for _ in range(150):
        values = np.where(rng.random(250) < 0.01, 1.0, 0.2 + rng.normal(0, 0.03, 250))
        broken += bounds.paired(values, 0.035).high < 0.2 * 0.99 + 0.01
    assert broken / 150 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


def test_the_level_of_independent_arms_is_that_of_the_largest_of_them():
    spread = np.eye(6)
    level = many.best_of_many_level(spread, 0.02)
    assert level == pytest.approx(1 - 0.98 ** (1 / 6), rel=0.12)
    assert many.best_of_many_level(np.eye(1), 0.02) == 0.02
    assert many.best_of_many_level(np.ones((5, 5)), 0.02) == pytest.approx(0.02, rel=0.12)


def test_one_error_for_all_pairs_of_one_arm():
    """Of equal arms, in `tail` of studies some bound of arm 0 against the others breaks."""
    rng = np.random.default_rng(7)
    broken = 0
    for _ in range(300):
        scores = rng.standard_normal((200, 6)) + rng.standard_normal((200, 1))
        level = many.pair_levels(many.covariance(scores), 0.1)[0]
        off = scores[:, 1:] - scores[:, :1]
        errors = off.std(0, ddof=1) / np.sqrt(200)
        broken += bool((off.mean(0) / errors > norm.ppf(1 - level)).any())
    assert 0.04 < broken / 300 < 0.17


def test_groups_give_means_that_scatter_more():
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(20), 10)
    scores = rng.random((20, 2))[groups]
    alone = many.covariance(scores)
    assert many.covariance(scores, np.arange(200)) == pytest.approx(alone)
    assert np.diag(many.covariance(scores, groups)) == pytest.approx(10 * np.diag(alone))
