"""Several answers of an arm to each case: which part of its uncertainty they could remove. Pure.

The case is the unit. The mean of its k answers varies by the case (variance b) and by the draw of
its answers (variance w / k); the mean over n cases has the variance (b + w / k) / n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import fmean, variance

from tuneworthy.core.evidence import Repeats

Draws = Mapping[str, Sequence[float]]
LEAST_CASES = 10  # of fewer cases no part is told


def variance_parts(draws: Draws) -> tuple[float, float] | None:
    """Return (variance between cases, variance within a case); None for one answer or few cases.

    Both are unbiased before they are cut at 0: the mean of the variances within, and the variance
    of the means less its k-th part.
    """
    rows = [values for values in draws.values() if len(values) > 1]
    if len(rows) < LEAST_CASES:
        return None
    within = fmean(variance(values) for values in rows)
    between = variance([fmean(values) for values in rows])
    return max(0.0, between - within / fmean(map(len, rows))), within


def repeat_shares(draws: Draws) -> Repeats | None:
    """Return the shares of an arm's uncertainty; None if it answered each case once."""
    parts = variance_parts(draws)
    if parts is None:
        return None
    between, within = parts
    k = min(len(values) for values in draws.values())
    total = between + within / k
    share = within / k / total if total else 0.0
    alone = ceil(len(draws) * (1 - share + k * share))
    return Repeats(k=k, share=round(share, 6), rows_alone=alone)


def share_of_difference(draws: Sequence[Draws], diffs: Mapping[str, float]) -> Repeats | None:
    """Return the same for the difference of two arms, None unless both answered k times.

    `diffs` are the differences of their means by case.
    """
    parts = [found for one in draws if (found := variance_parts(one)) is not None]
    times = {len(values) for one in draws for values in one.values()}
    if len(parts) < len(draws) or len(diffs) < LEAST_CASES or len(times) != 1:
        return None
    (k,), total = times, variance(diffs.values())
    within = sum(found[1] for found in parts)
    share = min(1.0, within / k / total) if total else 0.0
    alone = ceil(len(diffs) * (1 - share + k * share))
    return Repeats(k=k, share=round(share, 6), rows_alone=alone)
