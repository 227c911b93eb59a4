"""The distributions are those of scipy.stats, which takes long to import."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from tuneworthy.stats import distributions as own

SHARES = [1e-12, 1e-6, 0.0025, 0.025, 0.3, 0.5, 0.975, 1 - 1e-9]


def test_normal_and_student_values_are_equal():
    x = np.linspace(-9, 9, 181)
    assert np.array_equal(own.normal_cdf(x), stats.norm.cdf(x))
    assert np.array_equal(own.normal_quantile(SHARES), stats.norm.ppf(SHARES))
    for freedom in (1, 2, 7.5, 30, 4000):
        same = [own.student_quantile(share, freedom) for share in SHARES]
        assert same == pytest.approx(stats.t.ppf(SHARES, freedom), rel=1e-10)


def test_beta_quantiles_are_equal_to_ten_digits():
    a, b = (grid.ravel() for grid in np.meshgrid([1, 2, 9, 60, 800], [1, 3, 40, 700]))
    for share in SHARES:
        assert own.beta_quantile(share, a, b) == pytest.approx(
            stats.beta.ppf(share, a, b), rel=1e-9
        )


@pytest.mark.parametrize("p", [0.0, 0.013, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("n", [0, 1, 8, 400])
def test_binomial_chances_and_tails_are_equal(n, p):
    k = np.arange(n + 1)
    assert own.binomial_chance(k, n, p) == pytest.approx(stats.binom.pmf(k, n, p), rel=1e-9)
    tails = [own.binomial_tail(int(one), n, p) for one in (-1, *k)]
    assert tails == pytest.approx(stats.binom.sf([-1, *k], n, p), rel=1e-9, abs=1e-300)


def test_commands_start_without_the_modules_that_take_long_to_import():
    code = (
        "import sys, tuneworthy.cli, tuneworthy.flows.study, tuneworthy.report;"
        "print({'scipy.stats', 'scipy.optimize', 'sklearn', 'torch', 'openai'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
