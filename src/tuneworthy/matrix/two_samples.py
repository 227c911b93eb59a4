"""Test whether two samples come from one distribution: permutation tests and bounds on arrays.

The units of a test (rows, or groups of rows in one sample) are exchangeable under the null that
both samples are drawn independently from one distribution, so relabelling them gives an exact
p-value, (1 + as large ones) / (1 + drawn) (Phipson and Smyth 2010).

The classifier test (Lopez-Paz and Oquab 2017) asks whether a classifier can tell the samples apart
on rows that it did not learn from. A classifier that is linear in the labels (ridge regression)
needs no refit for a relabelling: its held-out scores are one matrix times the labels. So the whole
procedure is permuted, cross-fitting included, and the p-value stays exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import cluster_numbers

Array = np.ndarray[Any, Any]
MOST_RELABELLINGS, BATCH_RELABELLINGS = 1_999, 250  # relabellings in all, and per batch
# Relabellings as large as observed after which counting stops (Besag and Clifford 1991).
ENOUGH_AS_LARGE = 25
MeanWithBounds = tuple[float, float, float]


class Smoother(NamedTuple):
    """One fold: held-out `rows`, `training_rows`, matrix from their labels to scores."""

    rows: Array
    training_rows: Array
    matrix: Array


class Separation(NamedTuple):
    """How well a classifier tells two samples apart, on rows that it did not learn from.

    `auc` .5: not at all. `p` is exact for the null of one distribution. `informedness` is the share
    of the second sample that is classified right minus that of the first that is not: no more than
    the total variation distance of the two, up to chance; with two-sided 95 % bounds.
    """

    auc: float
    p: float
    informedness: MeanWithBounds


def folds_of(groups: Any, k: int, seed: int) -> Array:
    """Return a fold (0 .. k - 1) for each row, at random; rows of a group share one.

    The samples play no part, so that a relabelling within folds is as likely as any other.
    """
    numbers = cluster_numbers(groups, len(groups))
    count = int(numbers.max()) + 1
    order = np.random.default_rng(seed).permutation(count)
    return np.asarray((order % k)[numbers])


def separation(folds: Sequence[Smoother], second: Any, units: Any, seed: int = 0) -> Separation:
    """Return how well a linear classifier tells two samples apart, cross-fitted over `folds`.

    `second` marks the rows of the second sample, `units` names the unit of each row (a unit lies in
    one sample and one fold). Raises ValueError if a sample is empty.
    """
    labels = np.asarray(second, float)
    if not 0 < labels.sum() < labels.size:
        raise ValueError("two samples are needed")
    numbers = cluster_numbers(units, labels.size)
    scores = [_held_out_scores(fold, labels[None, :]) for fold in folds]
    observed = float(_auc_by_labelling(folds, scores, labels[None, :])[0])
    blocks = [np.unique(numbers[fold.rows]) for fold in folds]

    def relabelled(rng: np.random.Generator, many: int) -> Array:
        mixed = _permuted_labels(rng, many, labels, numbers, blocks)
        return _auc_by_labelling(folds, [_held_out_scores(fold, mixed) for fold in folds], mixed)

    p = permutation_p(relabelled, observed, seed, _relabellings_at_once(labels.size))
    held = np.zeros(labels.size)
    for fold, score in zip(folds, scores, strict=True):
        held[fold.rows] = score[0]
    return Separation(observed, p, _informedness(held > 0, labels > 0))


def permutation_p(
    draw: Callable[[np.random.Generator, int], Array], observed: float, seed: int, batch: int
) -> float:
    """Return the p-value: share of random relabellings whose statistic is as large as `observed`.

    `draw(rng, many)` returns the statistic of so many relabellings, at most `batch` at once.
    """
    rng = np.random.default_rng(seed)
    hits = drawn = 0
    while drawn < MOST_RELABELLINGS and hits < ENOUGH_AS_LARGE:
        many = min(batch, MOST_RELABELLINGS - drawn)
        hits += int((draw(rng, many) >= observed - 1e-9).sum())
        drawn += many
    return (1 + hits) / (1 + drawn)


def label_shift(first: Any, second: Any, units: Any, seed: int = 0) -> tuple[float, float]:
    """Return (total variation distance of two label samples, p by permuting whole units at random).

    `units` names the unit of each label, those of the first sample first; a unit lies in one
    sample. Raises ValueError if a sample is empty.
    """
    one, other = list(first), list(second)
    if not one or not other:
        raise ValueError("two samples are needed")
    table = np.eye(len({*one, *other}))[cluster_numbers([*one, *other], len(one + other))]
    labels = np.repeat([0.0, 1.0], [len(one), len(other)])
    numbers = cluster_numbers(units, labels.size)
    observed = float(_total_variation(labels[None, :], table)[0])
    everyone = [np.arange(int(numbers.max()) + 1)]

    def relabelled(rng: np.random.Generator, many: int) -> Array:
        return _total_variation(_permuted_labels(rng, many, labels, numbers, everyone), table)

    return observed, permutation_p(relabelled, observed, seed, _relabellings_at_once(labels.size))


def variation_bounds(first: Any, second: Any, level: float = 0.05) -> MeanWithBounds:
    """Return the total variation distance of two label counts, with two-sided bounds at `level`.

    `first` and `second` are the counts of the same labels in two samples of independent rows. The
    empirical distribution of n rows over k labels lies within sqrt((k - 1) / n) / 2 + sqrt(log(1 /
    a) / (2 n)) of its own, but for a chance of a (bounded differences, McDiarmid 1989). The lower
    end is also that of simultaneous exact intervals of the k shares, whichever is higher. Raises
    ValueError if a sample is empty.
    """
    one, other = (np.asarray(counts, float) for counts in (first, second))
    if not one.sum() or not other.sum():
        raise ValueError("two samples are needed")
    mean = float(np.abs(one / one.sum() - other / other.sum()).sum() / 2)
    far = sum(_variation_radius(one.size, counts.sum(), level / 8) for counts in (one, other))
    tail = level / (8 * one.size)  # of 4 k ends, tail / 2 each: half of the lower end's error
    ends = [[bounds.rate(int(k), int(c.sum()), tail) for k in c] for c in (one, other)]
    gaps = [max(0.0, a[0] - b[1], b[0] - a[1]) for a, b in zip(*ends, strict=True)]
    return mean, min(mean, max(0.0, mean - far, sum(gaps) / 2)), min(1.0, mean + far)


def unlike_any(own: Any, new: Any, share: float = 0.01) -> tuple[Array, float]:
    """Return (mask of new rows unlike the sample, share of rows that chance makes unlike at most).

    `own` is each sample row's similarity to the nearest other one, `new` that of each new row to
    the nearest of the sample. A new row is unlike if fewer than `share` of the own lie so low; of
    rows from the same distribution at most the returned share does (a conformal test: Vovk et al.
    2005; below 1 / share rows of the sample it is that of the lowest own one). Raises ValueError
    for an empty sample.
    """
    sample, rows = np.sort(np.asarray(own, float)), np.asarray(new, float)
    if not sample.size:
        raise ValueError("no sample to compare with")
    rank = max(1, int(share * (sample.size + 1)))
    return rows < sample[rank - 1] - 1e-9, rank / (sample.size + 1)


def independent_difference(now: MeanWithBounds, then: MeanWithBounds) -> MeanWithBounds:
    """Return (mean, low, high) of now - then for two independent means, from their bounds.

    The distances to the bounds are squared and added (Newcombe 1998, method 10, for any intervals:
    Zou and Donner 2008). The bounds have the level of those given.
    """
    mean = now[0] - then[0]
    down = np.hypot(now[0] - now[1], then[2] - then[0])
    up = np.hypot(now[2] - now[0], then[0] - then[1])
    return mean, max(-1.0, float(mean - down)), min(1.0, float(mean + up))


def _relabellings_at_once(rows: int) -> int:
    """Return how many relabellings of so many rows to draw at once (about 16 MB, 10 to 250)."""
    return max(10, min(BATCH_RELABELLINGS, 2_000_000 // rows))


def _held_out_scores(fold: Smoother, labels: Array) -> Array:
    """Return an array (labellings, held-out rows) of one fold's scores, one line per labelling."""
    learnt = labels[:, fold.training_rows]
    return np.asarray((learnt - learnt.mean(1, keepdims=True)) @ fold.matrix.T)


def _auc_by_labelling(folds: Sequence[Smoother], scores: Sequence[Array], labels: Array) -> Array:
    """Return each labelling's AUC: share of pairs ordered right, pooled over folds; .5 for none."""
    right, pairs = np.zeros(len(labels)), np.zeros(len(labels))
    for fold, score in zip(folds, scores, strict=True):
        held = labels[:, fold.rows]
        many = held.sum(1)
        right += (rankdata(score, axis=1) * held).sum(1) - many * (many + 1) / 2
        pairs += many * (held.shape[1] - many)
    half = np.full(len(labels), 0.5)
    return np.asarray(np.divide(right, pairs, out=half, where=pairs > 0))


def _permuted_labels(
    rng: np.random.Generator, many: int, labels: Array, numbers: Array, blocks: Sequence[Array]
) -> Array:
    """Return an array (many, rows): labels with units' labels permuted within each block."""
    of_unit = np.zeros(int(numbers.max()) + 1)
    of_unit[numbers] = labels
    mixed = np.tile(of_unit, (many, 1))
    for block in blocks:
        mixed[:, block] = rng.permuted(mixed[:, block], axis=1)
    return np.asarray(mixed[:, numbers])


def _total_variation(labels: Array, table: Array) -> Array:
    second, counts = labels @ table, labels.sum(1, keepdims=True)
    first = table.sum(0) - second
    rest = np.maximum(labels.shape[1] - counts, 1)
    return np.asarray(np.abs(second / np.maximum(counts, 1) - first / rest).sum(1) / 2)


def _variation_radius(labels: int, n: float, chance: float) -> float:
    return float(np.sqrt((labels - 1) / n) / 2 + np.sqrt(np.log(1 / chance) / (2 * n)))


def _informedness(called: Array, second: Array) -> MeanWithBounds:
    """Return hit rate - false-alarm rate with bounds, from exact intervals of both; at least 0."""
    hits, n = int(called[second].sum()), int(second.sum())
    false, rest = int(called[~second].sum()), int((~second).sum())
    now, then = ((k / m, *bounds.rate(k, m)) for k, m in ((hits, n), (false, rest)))
    mean, low, high = independent_difference(now, then)
    return max(0.0, mean), max(0.0, low), max(0.0, high)
