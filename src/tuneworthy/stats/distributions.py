"""Normal, Student, beta and binomial chances and quantiles, from scipy.special alone.

`scipy.stats` has them too, but importing it takes longer than everything else that a command needs
to start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, betaincinv, betaln, ndtr, ndtri, stdtrit, xlog1py, xlogy

Array = NDArray[Any]


def normal_cdf(x: Any) -> Array:
    """Return the chance that a standard normal value is at most `x`, elementwise."""
    return np.asarray(ndtr(x))


def normal_quantile(share: Any) -> Array:
    """Return the value below which a standard normal lies with chance `share`, elementwise."""
    return np.asarray(ndtri(share))


def student_quantile(share: float, freedom: float) -> float:
    """Return the value below which Student's t with `freedom` degrees lies with chance `share`."""
    return float(stdtrit(freedom, share))


def beta_quantile(share: Any, a: Any, b: Any) -> Array:
    """Return the value below which a beta(a, b) value lies with chance `share`, elementwise."""
    return np.asarray(betaincinv(a, b, share))


def binomial_chance(k: Any, n: Any, p: float) -> Array:
    """Return the chance of exactly `k` of `n` hits at rate `p` (0 to 1), elementwise, k <= n."""
    ways = -np.log1p(n) - betaln(n - k + 1, k + 1)
    return np.asarray(np.exp(ways + xlogy(k, p) + xlog1py(n - k, -p)))


def binomial_tail(k: int, n: int, p: float) -> float:
    """Return the chance of more than `k` of `n` hits at rate `p`; 1 for a negative k."""
    return float(bdtrc(k, n, p)) if k >= 0 else 1.0
