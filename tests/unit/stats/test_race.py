"""Races: who cannot win any more, and bounds that hold at every look."""

import numpy as np
import pytest
import stats_race
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.measure.block_race import eliminated
from tuneworthy.stats import bounds, race
from tuneworthy.stats.betting import betting_cs
from tuneworthy.stats.clusters import Folds


def highs(order, values):
    """Upper bounds of each arm minus each other, from arms known without error."""
    return {(b, s): values[b] - values[s] for b in order for s in order if b != s}


def test_a_dearer_arm_is_out_where_no_climb_to_it_pays():
    known = {"keep": 0.80, "prompt": 0.84, "tune": 0.86}
    order = list(known)
    assert eliminated(order, highs(order, known), 0.05) == {"prompt": "keep", "keep": "tune"}
    assert eliminated(order, highs(order, known), 0.10) == {"prompt": "keep", "tune": "keep"}
    assert eliminated(order, highs(order, known), 0.03) == {"keep": "prompt", "tune": "prompt"}
    assert eliminated(order, highs(order, known), 0.01) == {"keep": "prompt", "prompt": "tune"}


def test_without_a_bound_nobody_is_out():
    assert eliminated(["keep", "tune"], {}, 0.05) == {}
    assert eliminated(["keep"], {}, 0.05) == {}


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6), st.integers(0, 20))
def test_one_is_always_left_and_it_is_within_margin_of_the_best(points, margin):
    order = [f"a{i}" for i in range(len(points))]
    values = dict(zip(order, points, strict=True))
    out = eliminated(order, highs(order, values), margin)
    left = [arm for arm in order if arm not in out]
    assert left
    assert max(points) - max(values[arm] for arm in left) <= margin


def test_sequential_bounds_are_the_confidence_sequence_and_widen_as_paired_do():
    rng = np.random.default_rng(3)
    values = rng.choice([-1.0, 0.0, 1.0], 120, p=[0.1, 0.7, 0.2])
    found = race.sequential_bound(values, 0.0125, 250)
    assert (found.low, found.high) == pytest.approx(betting_cs(values, 0.025, 250)[-1])
    assert (found.wins, found.losses, found.n) == ((values > 0).sum(), (values < 0).sum(), 120)
    wide = race.sequential_bound(values, 0.0125, 250, factor=1.5)
    assert wide.high - wide.mean == pytest.approx(1.5 * (found.high - found.mean))
    pairs = np.repeat(np.arange(60), 2)
    assert race.sequential_bound(values, 0.0125, 250, groups=pairs).high > found.high
    alike, apart = np.tile(np.arange(5), 24), np.argsort(np.argsort(values)) // 24
    assert race.sequential_bound(
        values, 0.0125, 250, 1.5, folds=Folds(alike)
    ).high == pytest.approx(wide.high)
    assert race.sequential_bound(values, 0.0125, 250, 1.5, folds=Folds(apart)).high > wide.high
    once = bounds.paired(values, 0.0125)
    assert found.high > once.high  # to be looked at any time costs width
    for wrong in ([], [1.5], [float("nan")]):
        with pytest.raises(ValueError):
            race.sequential_bound(wrong, 0.0125, 10)


def test_a_race_that_is_looked_at_ten_times_is_safe_with_betting_bounds_only():
    """An arm just worth it is stopped wrongly where the fixed bound is looked at ten times."""
    rng = np.random.default_rng(5)
    truth = stats_race.TRUTHS["the last just worth it, 2 arms"]
    found = dict(stats_race.cells(rng, 1000, 250, truth, 0.9))
    assert found["betting"]["broken"] <= 0.05
    assert found["fixed, looked at ten times"]["peeked broken"] > 0.07


def test_one_group_says_nothing_of_others():
    found = race.sequential_bound(np.full(40, 0.5), 0.05, 40, groups=np.zeros(40))
    assert (found.low, found.high) == (-1.0, 1.0)
