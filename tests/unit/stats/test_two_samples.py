"""Two samples: exact levels, bounds that hold, shifts that are found."""

import numpy as np
import pytest

from tuneworthy.matrix import two_samples
from tuneworthy.matrix.two_samples import (
    Smoother,
    folds_of,
    independent_difference,
    label_shift,
    permutation_p,
    separation,
    unlike_any,
    variation_bounds,
)
from tuneworthy.stats import bounds


def smoothers(points, folds, ridge=1.0):
    """Return the ridge classifier of plain points, fold by fold, as a matrix."""
    points = points - points.mean(0)
    kernel = points @ points.T
    made = []
    for fold in np.unique(folds):
        rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        inner = kernel[np.ix_(others, others)] + ridge * np.eye(others.size)
        made.append(Smoother(rows, others, kernel[np.ix_(rows, others)] @ np.linalg.inv(inner)))
    return made


def world(rng, n, shift=0.0, size=1):
    """Return points of two samples of n, groups of `size` that share most of their place."""
    groups = np.repeat(np.arange(2 * n // size), size)
    points = rng.normal(0, 1, (2 * n // size, 4))[groups] * (size > 1)
    points = points + rng.normal(0, 1, (2 * n, 4)) * (0.3 if size > 1 else 1.0)
    second = np.arange(2 * n) >= n
    points[second, 0] += shift
    return points, second, groups


def test_a_clear_shift_is_told_apart_and_none_is_not():
    rng = np.random.default_rng(0)
    points, second, units = world(rng, 100, shift=2.0)
    folds = folds_of(units, 5, 0)
    found = separation(smoothers(points, folds), second, units)
    assert found.auc > 0.85
    assert found.p == 1 / (1 + two_samples.MOST_RELABELLINGS)
    # Two normals 2 apart: total variation 2 Phi(1) - 1 = .683.
    assert found.informedness[1] < 0.683 < found.informedness[2]
    points, second, units = world(rng, 100)
    found = separation(smoothers(points, folds), second, units)
    assert 0.35 < found.auc < 0.65
    assert found.p > 0.02
    assert found.informedness[1] == 0.0


def test_the_auc_is_the_share_of_right_pairs_within_folds():
    points, second, units = world(np.random.default_rng(1), 10, shift=1.0)
    folds = smoothers(points, folds_of(units, 2, 0))
    right = pairs = 0.0
    for fold in folds:
        learnt = second[fold.training_rows] - second[fold.training_rows].mean()
        score = fold.matrix @ learnt
        for i in np.flatnonzero(second[fold.rows]):
            for j in np.flatnonzero(~second[fold.rows]):
                right += (score[i] > score[j]) + 0.5 * (score[i] == score[j])
                pairs += 1
    assert separation(folds, second, units).auc == pytest.approx(right / pairs)


def test_folds_keep_groups_together_and_use_all():
    groups = np.repeat(np.arange(40), 3)
    folds = folds_of(groups, 5, 0)
    assert all(len(set(folds[groups == g])) == 1 for g in range(40))
    assert sorted(np.bincount(folds)) == [24] * 5


@pytest.mark.parametrize(("n", "size"), [(30, 1), (60, 1), (60, 5)])
def test_false_alarms_of_the_classifier_are_as_rare_as_said(n, size):
    """At .05, 300 worlds: 27 alarms or more come by chance in 1 of 500 runs."""
    rng, alarms = np.random.default_rng(n + size), 0
    for _ in range(300):
        points, second, units = world(rng, n, size=size)
        alarms += separation(smoothers(points, folds_of(units, 5, 0)), second, units).p <= 0.05
    assert alarms < 27


def test_groups_taken_for_rows_would_be_false_alarms():
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(60):
        points, second, units = world(rng, 60, size=10)
        made = smoothers(points, folds_of(units, 5, 0))
        alarms += separation(made, second, np.arange(120)).p <= 0.05
    assert alarms > 12


def test_a_fold_of_one_sample_only_counts_no_pair():
    points = np.arange(8.0)[:, None]
    folds = smoothers(points, np.repeat([0, 1], 4))
    found = separation(folds, np.arange(8) >= 4, np.arange(8))
    assert found.auc == 0.5
    assert found.p == 1.0
    with pytest.raises(ValueError, match="two samples"):
        separation(folds, np.zeros(8), np.arange(8))


def test_counting_stops_once_a_p_value_is_large():
    drawn = []

    def same(rng, many):
        drawn.append(many)
        return np.zeros(many)

    assert permutation_p(same, 0.0, 0, 40) == 1.0
    assert drawn == [40]
    drawn.clear()
    assert permutation_p(same, 1.0, 0, 600) == 1 / (1 + two_samples.MOST_RELABELLINGS)
    assert sum(drawn) == two_samples.MOST_RELABELLINGS


def test_label_shift_is_found_and_equal_labels_are_none():
    rng = np.random.default_rng(2)
    one, other = (
        rng.choice(list("abc"), 200, p=[0.5, 0.3, 0.2]),
        rng.choice(list("abc"), 200, p=[0.2, 0.3, 0.5]),
    )
    shift, p = label_shift(one, other, range(400))
    assert shift == pytest.approx(
        sum(abs((one == c).mean() - (other == c).mean()) for c in "abc") / 2
    )
    assert p < 0.01
    assert label_shift(["a"] * 9, ["a"] * 7, range(16)) == (0.0, 1.0)
    # Two groups of hundred equal labels are two units, not two hundred.
    _, p = label_shift(["a"] * 100, ["b"] * 100, [0] * 100 + [1] * 100)
    assert p == 1.0
    with pytest.raises(ValueError, match="two samples"):
        label_shift([], ["a"], [0])


def test_false_alarms_of_label_shift_are_as_rare_as_said():
    rng, alarms = np.random.default_rng(3), 0
    for _ in range(300):
        drawn = rng.choice(4, 120, p=[0.6, 0.2, 0.1, 0.1])
        alarms += label_shift(drawn[:80], drawn[80:], range(120))[1] <= 0.05
    assert alarms < 27


@pytest.mark.parametrize("n", [30, 200])
@pytest.mark.parametrize("moved", [0.0, 0.3])
def test_variation_bounds_hold_and_are_of_use(n, moved):
    rng = np.random.default_rng([n, int(10 * moved)])
    p = np.array([0.4, 0.3, 0.2, 0.1])
    q = p + moved * np.array([-1, 1, 0, 0])
    truth, missed, shown = moved, 0, 0
    for _ in range(400):
        mean, low, high = variation_bounds(rng.multinomial(n, p), rng.multinomial(n, q))
        assert low <= mean <= high
        missed += not low <= truth <= high
        shown += low > 0
    assert missed <= 20 + 3 * 4.4
    assert (shown > 300) if (moved and n == 200) else shown <= 400 * (moved > 0) + 20
    with pytest.raises(ValueError, match="two samples"):
        variation_bounds([0, 0], [1, 2])


def test_rows_like_the_sample_are_seldom_unlike_any():
    rng = np.random.default_rng(4)
    unlike = 0.0
    for _ in range(200):
        own, new = rng.normal(size=150), rng.normal(size=100)
        mask, expected = unlike_any(own, new)
        assert expected == 1 / 151
        unlike += mask.mean() / 200
    assert unlike == pytest.approx(expected, abs=0.004)
    mask, expected = unlike_any(np.linspace(0.2, 1, 300), [0.0, 0.1, 0.5, 0.9])
    assert mask.tolist() == [True, True, False, False]
    assert expected == 3 / 301
    with pytest.raises(ValueError, match="no sample"):
        unlike_any([], [0.5])


def test_the_difference_of_independent_means_is_newcombes():
    """Newcombe 1998, table II (a): 56/70 and 48/80; method 10 gives .0524 to .3339."""

    def wilson(k, n, z=1.959964):
        middle, half = (k + z * z / 2) / (n + z * z), z * np.sqrt(k * (n - k) / n + z * z / 4)
        return k / n, middle - half / (n + z * z), middle + half / (n + z * z)

    found = independent_difference(wilson(56, 70), wilson(48, 80))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert independent_difference((1.0, 0.5, 1.0), (0.0, 0.0, 0.5))[2] == 1.0


@pytest.mark.parametrize("p", [0.6, 0.95])
def test_the_bounds_of_a_difference_hold(p):
    rng, missed, naive = np.random.default_rng(int(100 * p)), 0, 0
    for _ in range(500):
        k, m = rng.binomial(60, p), rng.binomial(150, p)
        now, then = (k / 60, *bounds.rate(k, 60)), (m / 150, *bounds.rate(m, 150))
        _, low, high = independent_difference(now, then)
        missed += not low <= 0 <= high
        naive += not now[1] <= then[0] <= now[2]
    assert missed <= 25 + 3 * 4.9
    assert naive > missed  # without the study's own uncertainty the bound breaks more often


def test_so_few_own_rows_lie_lower_that_the_share_is_kept():
    """Of 39 own rows the second lowest is the limit at .05: 2 of 40 places lie up to it."""
    mask, expected = unlike_any(np.arange(39.0)[::-1], [0.5, 1.0, 1.5], share=0.05)
    assert mask.tolist() == [True, False, False]
    assert expected == 2 / 40


def test_the_p_value_of_a_label_shift_is_the_share_of_all_relabellings():
    """Three units against three: 2 of the 20 ways to part them are as far apart as can be."""
    observed, p = label_shift("aaa", "bbb", range(6))
    assert observed == 1.0
    assert p == pytest.approx(0.1, abs=0.06)
