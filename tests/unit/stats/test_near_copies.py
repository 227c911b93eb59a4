"""Bounds of rows with near copies: they hold whether every row counts or every distinct input."""

import numpy as np
import pytest

from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import Groups

LEVEL = bounds.level(0.05)
ONE_SET = np.concatenate([np.arange(77), [77] * 3])


def copies(labels):
    return Groups(np.asarray(labels), copies=True)


def test_one_set_of_copies_costs_little_and_groups_of_another_kind_cost_as_before():
    values = np.clip(np.random.default_rng(3).normal(0.12, 0.25, 80), -1, 1)
    alone, set_, group = (
        bounds.paired(values, LEVEL, groups=groups)
        for groups in (None, copies(ONE_SET), Groups(ONE_SET))
    )
    width = alone.high - alone.low
    assert set_.high - set_.low < 1.2 * width
    assert group.high - group.low > 1.6 * width
    assert set_.low <= alone.low
    assert set_.high >= alone.high


def test_bounds_hold_both_means_where_a_frequent_input_decides():
    labels = np.concatenate([np.arange(60), [60] * 20])
    values = np.where(labels == 60, 1.0, 0.0)
    found = bounds.paired(values, LEVEL, groups=copies(labels))
    assert found.mean == 0.25
    once = bounds.paired([0.0] * 60 + [1.0], LEVEL)
    assert found.low <= once.low < 0.25 < found.high


def test_copies_that_differ_count_as_their_mean_and_order_does_not_matter():
    labels = [0, 0, 1, 1, *range(2, 40)]
    values = [1.0, 0.0, 0.0, -1.0, *[0.0] * 38]
    found = bounds.paired(values, LEVEL, groups=copies(labels))
    turned = bounds.paired(values[::-1], LEVEL, groups=copies(labels[::-1]))
    assert found == turned
    once = bounds.paired([0.5, -0.5, *[0.0] * 38], LEVEL)
    assert found.low <= once.low
    assert found.high >= once.high


@pytest.mark.parametrize("values", [[1.0] * 9, [0.2, 0.4, 0.9]])
def test_copies_of_a_single_input_say_nothing_of_others(values):
    found = bounds.paired(values, LEVEL, groups=copies([0] * len(values)))
    assert (found.low, found.high) == (-1.0, 1.0)
    assert bounds.mean_interval(values, groups=copies([0] * len(values)))[1:] == (0.0, 1.0)


def test_distinct_labels_leave_the_bound_of_independent_rows():
    values = [1.0, 0.0, -1.0, *[0.0] * 30]
    assert bounds.paired(values, LEVEL, groups=copies(range(33))) == bounds.paired(values, LEVEL)
