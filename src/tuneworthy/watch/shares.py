"""Shares of requests with bounds."""

from __future__ import annotations

from collections.abc import Mapping

from tuneworthy.core.live_check import LiveShare
from tuneworthy.matrix.design import Design


def share_of(hits: Mapping[int, bool], design: Design, level: float) -> LiveShare:
    """Return the share of true values, by position in the log, with one-sided bounds at `level`.

    Requests of one session are often slow together or about the same fact, so groups widen it.
    """
    k, n = sum(hits.values()), len(hits)
    mean, low, high = design.mean(hits, 2 * level)
    return LiveShare(k=k, n=n, share=mean, low=low, high=high, level=level)
