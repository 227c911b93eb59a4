"""The break over time: its level on rows and groups, its power, what it refuses to test."""

import numpy as np
import pytest
from stats_promises import sources

from tuneworthy.stats.trend import (
    MIN_UNITS,
    MOST_PERMUTATIONS,
    largest_change_point,
    neighbours_alike,
)


def found(values, times=None, groups=None):
    return largest_change_point(values, range(len(values)) if times is None else times, groups)


def test_a_clear_break_is_found_where_it_is():
    one = found([0.0] * 60 + [1.0] * 40)
    assert one.p == 1 / (1 + MOST_PERMUTATIONS)
    assert one.before.tolist() == [True] * 60 + [False] * 40


def test_the_order_of_the_rows_is_nothing_and_a_cut_never_parts_one_time():
    rng = np.random.default_rng(1)
    times = np.repeat([3, 1, 2], [30, 40, 30])
    values = (times > 1) * 0.5 + rng.normal(0, 0.1, 100).clip(-0.5, 0.5)
    one, mixed = found(values, times), rng.permutation(100)
    assert one.before.tolist() == (times == 1).tolist()
    other = found(values[mixed], times[mixed])
    assert other.before.tolist() == one.before[mixed].tolist()


def test_what_does_not_move_is_not_called_moved():
    assert found([0.0] * 50).p == 1.0
    assert found([1.0, -1.0] * 50).p > 0.5


def test_too_few_rows_one_time_or_one_group_are_not_tested():
    assert found([]) is None
    assert found([0.0] * (MIN_UNITS - 1)) is None
    assert found([0.0, 1.0] * 30, [5] * 60) is None
    assert found([0.0, 1.0] * 30, groups=["g"] * 60) is None
    with pytest.raises(ValueError, match="2 times for 3 values"):
        largest_change_point([0.0, 0.0, 0.0], [1, 2])


def test_a_group_is_one_witness():
    """Three groups of ten that differ are a break by rows, and are none among thirty groups."""
    values = np.zeros(300)
    values[200:230] = 1.0
    groups = np.arange(300) // 10
    assert found(values).p < 0.001
    assert found(values, groups=groups).p > 0.01
    before = found(values, groups=groups).before.reshape(30, 10)
    assert (before.all(axis=1) | ~before.any(axis=1)).all()


@pytest.mark.parametrize(("n", "size"), [(60, 1), (150, 1), (150, 5)])
def test_false_alarms_are_as_rare_as_said(n, size):
    """At a level of .01, 500 studies: 13 alarms or more come by chance in 1 of 500 runs."""
    rng, alarms = np.random.default_rng(n + size), 0
    groups = np.arange(n) // size
    for _ in range(500):
        lead = np.repeat(rng.choice([-1, 0, 1], n // size, p=[0.1, 0.75, 0.15]), size)
        alarms += found(lead, groups=groups).p <= 0.01
    assert alarms < 13


@pytest.mark.parametrize(
    ("size", "shared", "least", "most"), [(1, 1.0, 0, 8), (5, 1.0, 195, 200), (5, 0.6, 185, 200)]
)
def test_rows_of_one_source_are_seen_and_independent_rows_are_not(size, shared, least, most):
    """200 studies of 250 rows, level .01: 8 alarms of independent rows come in 1 of 1,000 runs."""
    rng = np.random.default_rng(size)
    tested = (neighbours_alike(sources(rng, 250, size, shared, 0.15, 0.05)) for _ in range(200))
    assert least <= sum(p <= 0.01 for p in tested) <= most


def test_rows_sorted_by_class_are_no_alarm_where_classes_are_named():
    rng = np.random.default_rng(4)
    classes = np.repeat(np.arange(5), 50)
    values = (rng.random(250) < np.array([0.05, 0.9, 0.1, 0.8, 0.5])[classes]).astype(float)
    assert neighbours_alike(values) < 0.001
    assert neighbours_alike(values, classes) > 0.01


@pytest.mark.parametrize(
    ("cluster", "group", "least", "most"),
    [("tens", None, 90, 100), ("alternate", None, 75, 100), ("tens", "threes", 60, 100),
     ("alternate", "scattered", 75, 100), ("tens", "tens", 0, 5), ("scattered", "scattered", 0, 5),
     ("sizes", "sizes", 0, 5)],
)  # fmt: skip
def test_clusters_are_seen_in_a_row_alternating_and_across_groups(cluster, group, least, most):
    """100 studies of 200 rows, level .01: 6 alarms of independent groups are 1 run in 1,900."""
    rng, at = np.random.default_rng(7), np.arange(200)
    of = {"tens": at // 10, "alternate": at // 100 * 10 + at % 10, "threes": at // 3,
          "scattered": at % 67, "sizes": np.repeat(np.arange(45), np.arange(45) % 9 + 1)[:200],
          None: None}  # fmt: skip
    found = 0
    for _ in range(100):
        shared = rng.random(200) < 0.6
        lead = np.where(shared, rng.normal(size=200)[of[cluster]], rng.normal(size=200))
        found += neighbours_alike(lead, groups=of[group]) <= 0.01
    assert least <= found <= most


def test_few_or_equal_values_are_not_tested():
    assert neighbours_alike([0.0, 1.0] * 9) is None
    assert neighbours_alike([1.0] * 50) is None
