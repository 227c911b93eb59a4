"""Several answers of an arm to each case: which part of its uncertainty they could remove. Pure.

The case is the unit. The mean of its k answers varies by the case and by the draw of its answers:
with w, the variance of single answers to one case, draws add w / (k n) to the variance of the mean
over n cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import fmean, variance

from tuneworthy.core.evidence import Repeats
from tuneworthy.matrix.design import Design, Values

Draws = Mapping[str, Sequence[float]]
LEAST_REPEATED_CASES = 10  # of fewer cases no part is told


def repeats_of(design: Design, means: Values, draws: Sequence[Draws]) -> Repeats | None:
    """Return which part of the variance of a mean comes from the draws of the answers.

    `means` are one arm's scores by case, or the differences of two; `draws` the scores of all
    answers of that arm, or of both. None unless each answered its cases equally often, twice or
    more. Groups of cases make the variance larger, and so the part smaller.
    """
    times = {len(values) for one in draws for values in one.values()}
    if not all(draws) or len(means) < LEAST_REPEATED_CASES or len(times) != 1 or times == {1}:
        return None
    (k,), n = times, len(means)
    within = sum(fmean(variance(values) for values in one.values()) for one in draws)
    total = design.variance(means)
    share = min(1.0, within / k / n / total) if total else 0.0
    return Repeats(k=k, share=round(share, 6), rows_alone=ceil(n * (1 - share + k * share)))
