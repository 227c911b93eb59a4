"""Compute a share of requests with exact bounds."""

from __future__ import annotations

from tuneworthy.core.live_check import LiveShare
from tuneworthy.stats.bounds import rate


def share_of(k: int, n: int, level: float) -> LiveShare:
    """Return k of n with one-sided Clopper-Pearson bounds, each at `level`."""
    low, high = rate(k, n, 2 * level)
    return LiveShare(k=k, n=n, share=k / n, low=low, high=high, level=level)
