"""Shares of requests with bounds, for independent requests and for groups of them."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.live_check import LiveShare
from tuneworthy.stats.bounds import mean_interval, rate


def share_of(k: int, n: int, level: float) -> LiveShare:
    """Return k of n with one-sided Clopper-Pearson bounds, each at `level`."""
    low, high = rate(k, n, 2 * level)
    return LiveShare(k=k, n=n, share=k / n, low=low, high=high, level=level)


def share_of_groups(hits: Sequence[bool], groups: Sequence[str | None], level: float) -> LiveShare:
    """Return the share of true values with one-sided bounds at `level`, widened for groups.

    Without repeated groups these are the bounds of `share_of`. Requests of one session are
    often slow together or about the same fact, so they are no independent observations.
    """
    mean, low, high = mean_interval([float(hit) for hit in hits], 2 * level, groups)
    return LiveShare(k=sum(hits), n=len(hits), share=mean, low=low, high=high, level=level)
