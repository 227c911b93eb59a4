"""One error over looks at nested rows; the forecast of a verdict; the width of a refitted arm."""

from types import SimpleNamespace

import numpy as np
import pytest
import stats_promises as promises

from tuneworthy.stats import bounds, power
from tuneworthy.stats.clusters import refitted_factor
from tuneworthy.stats.distributions import normal_quantile
from tuneworthy.stats.many import nested_level


@pytest.mark.parametrize("rows", [(1, 2, 3, 4, 5), (100, 160, 400), (50, 200), (10, 11, 300)])
def test_looks_at_nested_rows_err_together_as_often_as_their_errors_add_up(rows):
    rng, error = np.random.default_rng(len(rows)), 0.02
    steps = np.diff((0, *rows))
    walk = (rng.standard_normal((400_000, len(rows))) * np.sqrt(steps)).cumsum(1) / np.sqrt(rows)
    levels = [nested_level([(error, n) for n in rows[: at + 1]]) for at in range(len(rows))]
    crossed = walk > normal_quantile(1 - np.array(levels))
    for at in range(1, len(rows) + 1):
        ever = crossed[:, :at].any(1).mean()
        assert ever <= error * at + 4 * np.sqrt(error * at / 400_000)
        if min(np.diff(rows)) > 1:  # nearer looks are taken to be less alike than they are
            assert ever == pytest.approx(error * at, rel=0.03)
    assert levels[0] == error
    assert all(level > error for level in levels[1:])


def test_a_study_looked_at_in_folds_spends_one_error_and_a_whole_run_no_less_than_before():
    arm = SimpleNamespace(spec=SimpleNamespace(name="lora"), folds_done=lambda split: 5)
    whole = promises.shape(50, 5, folds={"lora": 5}, looked={"lora": (1,)})
    assert whole.error_multiple(arm) > 0.8
    assert promises.shape(50, 5).error_multiple(arm) == 1
    part = SimpleNamespace(spec=arm.spec, folds_done=lambda split: 1)
    assert whole.error_multiple(part) == pytest.approx(0.2)
    last = promises.shape(50, 5, folds={"lora": 5}, looked={"lora": (1, 2, 3, 4)})
    assert 0.2 < last.error_multiple(arm) < whole.error_multiple(arm)
    assert last.error_multiple(arm, rivals=11) < last.error_multiple(arm), "unlike rivals share"
    found = dict(promises.folded(np.random.default_rng(1), 20_000, 0.051, 0.10, 0.05))
    assert found["before: broken"] > 0.06
    assert found["after: broken"] < 0.038


def test_rows_that_are_added_pay_for_what_is_new():
    found = dict(promises.added(np.random.default_rng(1), 20_000, 0.10, 0.08))
    assert found["after: firm"] > found["before: firm"] + 0.05
    assert found["after: rows"] < found["before: rows"]
    assert found["after: broken"] < 0.0525


@pytest.mark.parametrize("n", [40, 60, 150])
def test_firm_is_wrong_in_at_most_what_is_promised(n):
    assert 0.025 < promises.exactly(n, bounds.level(0.05))["firm and wrong"] <= 0.036


def test_the_difference_that_check_names_is_shown_in_groups_too():
    found = dict(promises.shown_in_groups(np.random.default_rng(2), 4_000, 20, 15))
    assert found["before: shown"] < 0.6
    assert found["after: shown"] == pytest.approx(0.8, abs=0.03)
    assert power.smallest_shown(lambda gain: 0.0) == 1


@pytest.mark.full
def test_the_forecast_of_five_arms_is_that_of_the_verdict():
    found = dict(promises.forecast(np.random.default_rng(3), 60, 5, 100))
    assert found["after: forecast"] < found["before: forecast"]
    assert found["after: forecast"] == pytest.approx(found["verdict firm"], abs=0.15)


def test_an_arm_whose_rows_keep_their_scores_needs_less_width():
    values = np.repeat([1.0, -1.0, 0.0], [30, 20, 150])
    assert refitted_factor(0.0, values, 1.5) == 1.25
    assert 1.25 < refitted_factor(0.08, values, 1.5) < 1.5
    assert refitted_factor(0.5, values, 1.5) == 1.5
    assert refitted_factor(0.0, np.zeros(20), 1.5) == 1.5
    found = dict(promises.refitted(np.random.default_rng(4), 300, "ridge", 100, promises.NEAR_RULE))
    assert found["after: low broken"] <= 0.045
    assert 1.25 <= found["factor"] < 1.4
