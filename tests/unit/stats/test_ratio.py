"""The share of one mean in another: it covers the truth, widens, and may have no bounds."""

import numpy as np
import pytest

from tuneworthy.stats.power import ratio_of_means


def study(seed, n=80, base=0.4, prompt=0.6, tune=0.8):
    """Return 0/1 gains of a prompt and of a tuned model over a base, on the same n rows."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    one, two, three = (
        (0.7 * hard + 0.3 * rng.random(n) < edge).astype(float) for edge in (base, prompt, tune)
    )
    return two - one, three - one


def truth():
    top, bottom = study(0, 400_000)
    return top.mean() / bottom.mean()


def test_the_interval_covers_the_true_share_and_half_of_it_does_not():
    right = truth()
    told = [ratio_of_means(*study(seed)) for seed in range(150)]
    covered = [low <= right <= high for _, low, high in told]
    assert np.mean(covered) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 150)
    narrow = [abs(mean - right) <= (high - low) / 8 for mean, low, high in told]
    assert np.mean(narrow) < 0.8, "an interval a quarter as wide misses often"


def test_a_factor_and_groups_widen_it():
    top, bottom = study(1)
    mean, low, high = ratio_of_means(top, bottom)
    same, wide_low, wide_high = ratio_of_means(top, bottom, factor=1.5)
    assert same == mean
    assert wide_high - wide_low == pytest.approx(1.5 * (high - low), rel=0.35)
    twice = np.tile(top, 2), np.tile(bottom, 2)
    groups = [str(at) for at in [*range(80), *range(80)]]
    _, alone_low, alone_high = ratio_of_means(*twice)
    _, group_low, group_high = ratio_of_means(*twice, groups=groups)
    assert alone_high - alone_low < 0.85 * (high - low)
    assert group_high - group_low == pytest.approx(high - low, rel=0.1)


def test_equal_gains_are_the_whole_share_and_order_is_nothing():
    _, bottom = study(2)
    assert ratio_of_means(bottom, bottom) == (1, 1, 1)
    assert ratio_of_means(np.zeros(80), bottom) == (0, 0, 0)


def test_there_is_no_interval_where_the_gain_may_be_nothing():
    gain = np.array([1.0, -1.0] * 20 + [1.0])
    assert ratio_of_means(gain, gain) is None
    with pytest.raises(ValueError, match="is 0"):
        ratio_of_means([1.0, 0.0], [1.0, -1.0])
    with pytest.raises(ValueError, match="same rows"):
        ratio_of_means([1.0], [1.0, 0.0])
