"""N14: summaries equal scikit-learn and a recount; a swapped average does not."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tuneworthy.metrics import _scorer as summaries

REPEATS = [40, pytest.param(1000, marks=pytest.mark.full)]


@pytest.mark.parametrize("repeats", REPEATS)
def test_n14_auroc_equals_scikit_learn_with_ties(repeats):
    rng = np.random.default_rng(6)
    for _ in range(repeats):
        scores = rng.integers(0, 6, 30) / 5
        mark = rng.random(30) < 0.4
        mark[:2] = True, False
        expected = roc_auc_score(mark, scores)
        assert summaries.auroc(scores, mark) == pytest.approx(expected, abs=1e-9)
        assert summaries.auroc(scores, ~mark) == pytest.approx(1 - expected, abs=1e-9)
    assert summaries.auroc([0.1, 0.2], [True, True]) is None
    assert summaries.auroc([], []) is None


def test_n14_ece_equals_a_recount_by_bin():
    rng = np.random.default_rng(7)
    for _ in range(100):
        sure, right = rng.random(50), rng.random(50) < 0.5
        total = 0.0
        for low in range(10):
            held = (sure > low / 10) & (sure <= (low + 1) / 10)
            if held.any():
                total += held.mean() * abs(sure[held].mean() - right[held].mean())
        assert summaries.ece(sure, right) == pytest.approx(total, abs=1e-9)
    assert summaries.ece([0.0, 1.0], [0, 1]) == 0.0
    assert summaries.ece([1.0, 1.0], [0, 1]) == 0.5


def test_nothing_is_not_measured_and_unequal_lengths_are_refused():
    assert summaries.ece([], []) is None
    for summary in (summaries.ece, summaries.auroc):
        with pytest.raises(ValueError):
            summary([1], [])
