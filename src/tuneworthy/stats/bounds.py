"""How sure a score or a difference is, from the rows at hand.

Rates: Clopper-Pearson. Paired 0/1: exact below ten differing pairs, else a score bound. Graded: the
wider of BCa bootstrap and Student's t from ten, else a betting bound. Knows arrays only: no
records, files or models.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tuneworthy.stats.betting import betting_cs
from tuneworthy.stats.clusters import (
    Folds,
    cluster_numbers,
    few_clusters,
    fold_widening,
    widening,
)
from tuneworthy.stats.discordant import FEW, clopper_pearson, discordant
from tuneworthy.stats.graded import bca, student

Array = np.ndarray[Any, Any]


SHARES = {1: 0.7, 2: 0.7, 3: 0.8, 4: 0.9, 5: 0.9}
"""What is left of alpha with so few finalists (see `level`); 1 from six on."""


NAMED = 0.04
"""Level of the interval of an arm's score where one arm is named by the same rows: by its luck it
was named, too. At .05 the interval of the named arm covered .937 in the worst of 300 cells."""


class Bound(NamedTuple):
    """A mean paired difference with one-sided bounds, each at the level that was asked for."""

    mean: float
    low: float
    high: float
    wins: int
    losses: int
    differ: int
    n: int


def rate(k: int, n: int, level: float = 0.05) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) two-sided interval of a share, k of n.

    Raises ValueError for n = 0 or k outside 0..n: a rate of nothing is not 0.
    """
    if not 0 <= k <= n or n == 0:
        raise ValueError(f"no rate of {k} in {n}")
    low, high = clopper_pearson(k, n, level / 2)
    return float(low), float(high)


def mean_interval(
    scores: Any,
    level: float = 0.05,
    groups: Any = None,
    factor: float = 1.0,
    folds: Folds | None = None,
) -> tuple[float, float, float]:
    """Return mean, low and high of scores in [0, 1], two-sided at `level`.

    0/1 scores get Clopper-Pearson; graded ones BCa and Student's t where at least ten differ from
    the commonest score, else the betting bound. Rows of one group widen it. So do `factor` and
    `folds` of a cross-fitted arm that learns, as in `paired`: the score is that of the artefact
    that would be built, one more fit. Raises ValueError for no scores.
    """
    values = _checked(scores, 0.0)
    mean = float(values.mean())
    numbers = None if groups is None else cluster_numbers(groups, values.size)
    if np.isin(values, (0.0, 1.0)).all():
        low, high = rate(int(values.sum()), values.size, level)
        wide = 1.0 if numbers is None else widening(values, numbers, level / 2)
    else:
        low, high, wide = _graded(values, level / 2, numbers, 0.0)
    if folds is not None:
        factor = fold_widening(values, folds, factor, wide)
    return mean, *_stretched(mean, (low, high), wide * factor, 0.0)


def paired(
    diffs: Any,
    level: float,
    factor: float = 1.0,
    groups: Any = None,
    folds: Folds | None = None,
    few: int = FEW,
) -> Bound:
    """Return the mean of paired differences in [-1, 1] with one-sided bounds, each at `level`.

    `factor` widens pairs that involve a fitted arm (see `width_factor`). `folds` names the fold
    of each row of such a pair: where the folds' means scatter beyond row noise (an unstable arm),
    the bounds widen further, as they do by what a retraining is taken to differ. `groups` names
    rows that belong together. 0/1 scores that differ on fewer than `few` rows get exact bounds;
    with 0 the score bound holds at any count, for sums of parts, where ends that are each too wide
    add up. Differences below 1e-9 are ties. Raises ValueError for no rows, or values that are not
    finite or outside [-1, 1].
    """
    values = _checked(diffs, -1.0)
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    numbers = None if groups is None else cluster_numbers(groups, values.size)
    if np.isin(values, (-1.0, 0.0, 1.0)).all():
        below, above = discordant(wins, losses, values.size, level, few)
        low, high = float(below), float(above)
        wide = 1.0 if numbers is None else widening(values, numbers, level)
    else:
        low, high, wide = _graded(values, level, numbers, -1.0)
    if folds is not None:
        factor = fold_widening(values, folds, factor, wide)
    mean = float(values.mean())
    low, high = _stretched(mean, (low, high), wide * factor, -1.0)
    return Bound(mean, low, high, wins, losses, wins + losses, values.size)


def width_factor(folds_run: int, n_test: float, n_train: float) -> float:
    """Return how much wider a fitted pair's interval is when folds share training rows.

    `n_test`, `n_train`: mean rows a fold. 1.5 at 5 of 5 folds, 1.22 at 2 of 5; one split is 1.
    """
    return float(np.sqrt(1 + folds_run * n_test / n_train)) if folds_run > 1 else 1.0


def look_cost(looks: int) -> float:
    """Return by what a look at the same cases divides alpha: 1 for the first, L (L + 1) after it.

    The first look pays nothing, and however many there are, all together spend at most 1.5 alpha:
    1 / (L (L + 1)) summed from the second look on is 1/2. Divided by L, ten would spend 2.9 alpha.
    """
    if looks < 1:
        raise ValueError(f"no level for look {looks}")
    return float(looks * (looks + 1)) if looks > 1 else 1.0


def level(alpha: float, looks: int = 1, finalists: int = 2) -> float:
    """Return each bound's one-sided error level: alpha / (look_cost(looks) * (finalists - 1)).

    With few finalists only a share of alpha is spent: spent whole, up to 5.4 % of the bounds broke
    with two, and 5.0, 4.6 and 4.4 % of equal arms were climbed with three, four and five. The
    promise is 5 % with room to show it, so the aim is 4 % (measured by simulation).
    """
    if finalists < 1:
        raise ValueError(f"no level for {finalists} finalists")
    return SHARES.get(finalists, 1.0) * alpha / (look_cost(looks) * max(1, finalists - 1))


def _checked(values: Any, lowest: float) -> Array:
    array = np.asarray(values, float).ravel()
    if not array.size:
        raise ValueError("no rows: the mean of nothing is not a number")
    array = np.round(array, 9)
    if not (np.isfinite(array).all() and (array >= lowest).all() and (array <= 1).all()):
        raise ValueError(f"values must be finite and lie in [{lowest:g}, 1]")
    return np.asarray(array)


def _graded(
    values: Array, tail: float, numbers: Array | None, lowest: float
) -> tuple[float, float, float]:
    """Return low, high and the factor that groups still ask for; `lowest` is -1 or 0."""
    usual = 0.0 if lowest < 0 else _commonest(values)
    if int((values != usual).sum()) < FEW:
        low, high = _betting(values, tail, lowest)
        return low, high, 1.0 if numbers is None else widening(values, numbers, tail)
    low, high = _guarded(values, tail, lowest, usual)
    if numbers is None or numbers.max() + 1 == values.size:
        return low, high, 1.0
    if numbers.max() == 0:
        return low, high, float("inf")
    group_low, group_high = bca(values, tail, numbers)
    few = few_clusters(int(numbers.max()) + 1, tail)
    return min(low, group_low), max(high, group_high), few


def _guarded(values: Array, tail: float, lowest: float, usual: float) -> tuple[float, float]:
    """Return BCa bounds, each side with one row more at the end of its range where few lie there.

    A bootstrap can't draw what was not seen: a rare total loss that these rows happen to lack.
    Without the added row 200 rows of which one in a hundred is lost cover .88 in place of .95.
    Of a score those few are nearer to the end than to the mean: with 3 total losses in 100 among
    scores about .8 the interval of 50 rows covers .82 without that row, .99 with it. Of a
    difference they lie beyond 0 and the mean; where many small losses hide a rare large one,
    Student's t is wide enough.
    """
    mean = float(values.mean())
    middle = sorted((usual, mean)) if lowest < 0 else (mean / 2, (1 + mean) / 2)
    losses, wins = (values < middle[0] - 1e-9).sum(), (values > middle[1] + 1e-9).sum()
    down = np.append(values, lowest) if losses < FEW else values
    up = np.append(values, 1.0) if wins < FEW else values
    low, high = student(values, tail)
    return min(low, bca(down, tail)[0]), max(high, bca(up, tail)[1])


def _betting(values: Array, tail: float, lowest: float) -> tuple[float, float]:
    """Return the betting bound after all values, in a seeded order; the range is mapped to it."""
    order = np.random.default_rng(values.size).permutation(values.size)
    middle, half = (1 + lowest) / 2, (1 - lowest) / 2
    low, high = betting_cs((values[order] - middle) / half, 2 * tail, values.size)[-1]
    return middle + half * low, middle + half * high


def _commonest(values: Array) -> float:
    kinds, counts = np.unique(values, return_counts=True)
    return float(kinds[counts.argmax()])


def _stretched(
    mean: float, bounds: tuple[float, float], wide: float, lowest: float
) -> tuple[float, float]:
    if np.isinf(wide):
        return lowest, 1.0
    low, high = (mean + wide * (bound - mean) for bound in bounds)
    return max(lowest, min(low, mean)), min(1.0, max(high, mean))
