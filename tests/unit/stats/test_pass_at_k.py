"""pass@k: unbiased (against enumeration), monotone, and corrected for what chance alone passes."""

import random
from itertools import combinations

import pytest

from tuneworthy.stats.pass_at_k import corrected, pass_at_k, pass_curve


@pytest.mark.parametrize("m", [1, 2, 5, 8])
def test_n_it_equals_the_count_over_all_choices_of_k_samples(m):
    for h in range(m + 1):
        right = [True] * h + [False] * (m - h)
        for k in range(1, m + 1):
            chosen = list(combinations(right, k))
            assert pass_at_k(m, h, k) == pytest.approx(sum(map(any, chosen)) / len(chosen))


def test_n_it_is_unbiased_where_the_plain_formula_is_not():
    draw, p, m, k = random.Random(0), 0.3, 8, 4
    hits = [sum(draw.random() < p for _ in range(m)) for _ in range(20_000)]
    truth = 1 - (1 - p) ** k
    assert sum(pass_at_k(m, h, k) for h in hits) / len(hits) == pytest.approx(truth, abs=0.01)
    plain = sum(1 - (1 - h / m) ** k for h in hits) / len(hits)
    assert abs(plain - truth) > 0.02, "the control: plugging in h/m is biased"


def test_known_values():
    assert pass_at_k(8, 0, 8) == 0
    assert pass_at_k(8, 1, 8) == 1
    assert pass_at_k(8, 2, 1) == 0.25
    assert pass_at_k(10, 3, 5) == pytest.approx(1 - 21 / 252)


@pytest.mark.parametrize(("m", "h", "k"), [(8, 9, 1), (8, -1, 1), (8, 1, 0), (8, 1, 9)])
def test_what_is_not_defined_is_refused(m, h, k):
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(m, h, k)


def test_the_curve_starts_at_the_mean_rises_and_ends_at_any():
    right = [0, 1, 4, 8, 0, 2]
    curve = pass_curve(right, 8)
    assert list(curve) == [1, 2, 4, 8]
    assert curve[1] == pytest.approx(sum(right) / 48)
    assert curve[8] == pytest.approx(4 / 6)
    assert list(curve.values()) == sorted(curve.values())
    assert list(pass_curve([3], 6)) == [1, 2, 4, 6]
    assert pass_curve([], 8) == {}


def test_guessing_is_corrected_to_nothing_or_to_silence():
    labels, k = 10, 16
    guess = 1 - (1 - 1 / labels) ** k
    assert guess == pytest.approx(0.81, abs=0.01), "what 16 guesses of 10 labels pass"
    assert corrected(guess, guess) == 0
    assert corrected(1.0, guess) == 1
    assert corrected(1.0, 1 - 0.5**16) is None
    assert corrected(0.1, 0.5) < 0
