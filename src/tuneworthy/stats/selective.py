"""Answer only where a system is sure: the error of choosing a threshold, and calibration error.

Works on arrays only. The threshold is chosen by a scan from full coverage down: the first part of
the rows, the surest first, whose bound of the wrong share lies under the limit. `scan_tail` pays
for the choice (after "learn then test", Angelopoulos et al. 2021, arXiv 2110.01052).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import bdtr, logsumexp

from tuneworthy.stats.distributions import binomial_chance

Array = np.ndarray[Any, Any]
_STEPS = 14  # halvings of the search for a level: to 1 part in 4,000
_SPAN = 200.0  # the level of one test is at least the whole error divided by this


@lru_cache(maxsize=4096)
def scan_tail(counts: tuple[int, ...], limit: float, error: float) -> float:
    """Return the error of each test in a scan over the surest `counts` rows, together `error`.

    Each test asks whether the share of wrong answers among so many rows is shown to be at most
    `limit`. The worst case is one in which every row is wrong with the probability `limit`,
    whatever its rank: if surer rows are wrong less often, the scan fails less often. The chance
    that any test passes there is exact, by recursion over the number of wrong rows.
    """
    if _passes_somewhere(counts, limit, error) <= error:
        return error
    low, high = error / _SPAN, error
    for _ in range(_STEPS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if _passes_somewhere(counts, limit, middle) <= error else (
            low, middle)  # fmt: skip
    return low


def _passes_somewhere(counts: Sequence[int], limit: float, tail: float) -> float:
    """Return the chance that some test passes if rows are wrong with probability `limit`."""
    chances, passed, before = np.ones(1), 0.0, 0
    for count in counts:
        allowed = int((bdtr(np.arange(count), count, limit) <= tail).sum())  # wrong rows below it
        more = binomial_chance(np.arange(count - before + 1), count - before, limit)
        chances, before = np.convolve(chances, more), count
        passed += float(chances[:allowed].sum())
        chances[:allowed] = 0.0
    return passed


def bin_numbers(p: Any, bins: int = 10) -> Array:
    """Return the number of each probability's bin, from 0; bins hold about as many values each.

    Values on a border, ties among them, belong to the lower bin (as in scikit-learn's
    `calibration_curve` with the strategy "quantile").
    """
    stated = np.asarray(p, float)
    borders = np.percentile(stated, np.linspace(0, 100, bins + 1)[1:-1])
    return np.unique(np.searchsorted(borders, stated), return_inverse=True)[1]


def temperature(tables: Sequence[Any], right: Sequence[int]) -> float:
    """Return the temperature at which these probabilities best predict the right labels.

    `tables` has a row of probabilities for each case, `right` the index of its right label. 1
    leaves them as they are, a larger one makes them less sure (Guo et al. 2017, arXiv 1706.04599).
    """
    from scipy.optimize import minimize_scalar  # slow to import, and seldom needed

    logs = [np.log(np.clip(np.asarray(row, float), 1e-12, 1)) for row in tables]

    def loss(log_t: float) -> float:
        scaled = [row / np.exp(log_t) for row in logs]
        return -sum(float(row[k] - logsumexp(row)) for row, k in zip(scaled, right, strict=True))

    found = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return float(np.exp(found.x))


def tempered(row: Any, t: float) -> Array:
    """Return a row of probabilities at temperature `t`, which sum to 1."""
    logs = np.log(np.clip(np.asarray(row, float), 1e-12, 1)) / t
    return np.asarray(np.exp(logs - logsumexp(logs)))
