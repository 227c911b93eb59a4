"""Graded studies: scores between 0 and 1 of a known mean, and the BCa bounds of many at once."""

from functools import cache

import numpy as np
import stats_worlds as worlds
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import beta, norm, t

from tuneworthy.matrix import ladder
from tuneworthy.stats import bounds, graded, unseen

POINTS = 4096
FAMILIES = {
    "fifths of a field score": lambda p, u: np.floor(6 * beta.ppf(u, 3 * p, 3 * (1 - p))) / 5,
    "mostly all or nothing": lambda p, u: beta.ppf(u, 0.5 * p, 0.5 * (1 - p)),
    "few total losses": lambda p, u: np.where(u < 0.03, 0, beta.ppf(u, 20 * p, 20 * (1 - p))),
}


@cache
def table(family, q):
    """Scores of the family at evenly spaced quantiles, their mean as near to `q` as it gets."""
    u = (np.arange(POINTS) + 0.5) / POINTS

    def make(p):
        return np.clip(FAMILIES[family](p, u), 0, 1)

    p = brentq(lambda p: make(p).mean() - q, 1e-3, 1 - 1e-3, xtol=1e-6)
    return make(p)


def answers(rng, runs, n, truth, rho, family):
    """Graded scores (R, n, A) and the exact means (A,) they are drawn from."""
    tables = np.stack([table(family, q) for q in truth])
    u = ndtr(worlds.latent(rng, (runs, n, len(truth)), rho))
    at = np.minimum((u * POINTS).astype(int), POINTS - 1)
    return tables[np.arange(len(truth)), at], tables.mean(1)


@cache
def _picked(n, draws):
    """How often each of n rows is in each draw (draws, n): the draws of `graded.bca`."""
    rng = np.random.default_rng(20_251)
    size = max(1, graded._CHUNK // n)
    counts = np.zeros((draws, n))
    for start in range(0, draws, size):
        rows = rng.integers(0, n, (min(size, draws - start), n))
        np.add.at(counts, (np.arange(start, start + len(rows))[:, None], rows), 1)
    return counts


def bca_many(values, tail):
    """`graded.bca` of every row of `values` (R, n); `tail` is one number or (R,)."""
    runs = len(values)
    values, tail = np.sort(values, 1), np.broadcast_to(tail, (runs,))
    times = 2 ** np.ceil(np.log2(np.maximum(1, 50 / tail / graded.BOOTSTRAPS))).astype(int)
    out = np.empty((2, runs))
    for many in np.unique(times):
        rows = np.flatnonzero(times == many)
        out[:, rows] = _bca(values[rows], tail[rows], graded.BOOTSTRAPS * int(many))
    return out[0], out[1]


def _bca(values, tail, count):
    runs, n = values.shape
    draws = _picked(n, count) @ values.T / n
    mean = values.mean(1)
    tied = np.abs(draws - mean) < graded.TIE_TOLERANCE
    below = ((draws < mean) & ~tied).mean(0) + 0.5 * tied.mean(0)
    shift = norm.ppf(np.clip(below, 1 / count, 1 - 1 / count))
    off = values - mean[:, None]
    speed = (off**3).sum(1) / (6 * np.maximum((off**2).sum(1), 1e-300) ** 1.5)
    draws.sort(0)
    out = []
    for p in (tail, 1 - tail):
        moved = shift + norm.ppf(p)
        share = norm.cdf(shift + moved / np.maximum(1 - speed * moved, 0.05))
        at = share * (count - 1)
        left = np.minimum(at.astype(int), count - 2)
        low, high = (draws[left + k, np.arange(runs)] for k in (0, 1))
        out.append(low + (high - low) * (at - left))
    return np.minimum(out[0], mean), np.maximum(out[1], mean)


def upper_many(values, tail, back=None):
    """Upper bounds (R,) of `bounds.paired` for graded rows (R, n), no groups and no folds.

    `back` turns values over that were turned over to bound their lower side: the bootstrap draws
    them as they were.
    """
    values = np.round(values, 9)
    runs, n = values.shape
    tail, mean = np.broadcast_to(tail, (runs,)), values.mean(1)
    high = mean + t.ppf(1 - tail, n - 1) * values.std(1, ddof=1) / np.sqrt(n)
    over = np.maximum(values - np.maximum(mean, 0)[:, None], 0)
    few = (over**2).sum(1) < unseen.ENOUGH_FULL_SIZE
    if few.any():
        high[few] = np.maximum(high[few], _allowing(values[few], tail[few]))
    if not few.all():
        drawn = values[~few] if back is None else back(values[~few])
        ends = bca_many(drawn, tail[~few])
        high[~few] = np.maximum(high[~few], ends[1] if back is None else back(ends[0]))
    return np.minimum(np.maximum(high, mean), 1)


def _allowing(values, tail):
    units = np.column_stack([values, np.ones(len(values))])
    return unseen.weighted_mean_quantiles(units, np.ones_like(units), np.ones_like(units), tail)


def paired_many(diffs, tail):
    """Low and high of `bounds.paired` for graded rows (R, n), no groups and no folds."""
    return -upper_many(-diffs, tail, np.negative), upper_many(diffs, tail)


def mean_many(scores, tail):
    """Low and high of `bounds.mean_interval` for graded scores (R, n), `tail` of error each."""

    def over(values):
        return 1 - values

    return 1 - upper_many(over(scores), tail, over), upper_many(scores, tail)


def pair_bounds(scores, level):
    """(mean, low, high), each (R, A, A), of graded scores (R, n, A); [s, b] is b - s."""
    arms = scores.shape[2]
    mean = scores.mean(1)[:, None, :] - scores.mean(1)[:, :, None]

    def upper(levels):
        high = np.zeros_like(mean)
        for s in range(arms):
            for b in range(arms):
                if s != b:
                    high[:, s, b] = upper_many(scores[:, :, b] - scores[:, :, s], levels[:, b])
        return high

    if arms > 2:
        high = worlds.jointly(scores, level, upper)
    else:
        high = upper(np.full((len(scores), arms), level))
    return mean, -high.swapaxes(1, 2), high


def cells(rng, runs, n, truth, rho, family, rules, chunk=250):
    """Outcome by rule, as `stats_worlds.ladder_cells`, for graded scores."""
    parts, counts, q = {name: [] for name in rules}, [], None
    for start in range(0, runs, chunk):
        scores, q = answers(rng, min(chunk, runs - start), n, truth, rho, family)
        counts.append(scores)
        known = {}  # margins share their bounds, which take nearly all of the time
        for name, (margin, level) in rules.items():
            if level not in known:
                known[level] = pair_bounds(scores, level)
            parts[name].append(ladder.climb_many(*known[level], margin))
    whole = np.concatenate(counts)
    out = {}
    for name, (margin, _) in rules.items():
        found = [np.concatenate([part[k] for part in parts[name]]) for k in range(3)]
        out[name] = worlds.outcome(q, found, margin)
        own = np.take_along_axis(whole, found[0][:, None, None], 2)[..., 0]
        low, high = mean_many(own, bounds.CHOSEN_ARM_LEVEL / 2)
        out[name]["covers"] = ((low <= q[found[0]]) & (q[found[0]] <= high)).mean()
    return out
