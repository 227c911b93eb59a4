"""Graded studies: scores between 0 and 1 of a known mean, and the BCa bounds of many at once."""

from functools import cache

import numpy as np
import stats_worlds as worlds
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import beta, norm, t

from tuneworthy.stats import bounds, graded, ladder

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
    """`graded.bca` of every row of `values` (R, n)."""
    runs, n = values.shape
    values = np.sort(values, 1)
    draws = _picked(n, max(graded.DRAWS, int(np.ceil(50 / tail)))) @ values.T / n
    mean = values.mean(1)
    tied = np.abs(draws - mean) < graded.TIE
    below = ((draws < mean) & ~tied).mean(0) + 0.5 * tied.mean(0)
    shift = norm.ppf(np.clip(below, 1 / len(draws), 1 - 1 / len(draws)))
    off = values - mean[:, None]
    speed = (off**3).sum(1) / (6 * np.maximum((off**2).sum(1), 1e-300) ** 1.5)
    draws.sort(0)
    out = []
    for p in (tail, 1 - tail):
        moved = shift + norm.ppf(p)
        share = norm.cdf(shift + moved / np.maximum(1 - speed * moved, 0.05))
        at = share * (len(draws) - 1)
        left = np.minimum(at.astype(int), len(draws) - 2)
        low, high = (draws[left + k, np.arange(runs)] for k in (0, 1))
        out.append(low + (high - low) * (at - left))
    return np.minimum(out[0], mean), np.maximum(out[1], mean)


def paired_many(diffs, tail):
    """Low and high of `bounds.paired` for graded rows (R, n), no groups and no folds."""
    diffs = np.round(diffs, 9)
    mean = diffs.mean(1)
    few = (diffs != 0).sum(1) < bounds.FEW
    low, high = guarded(diffs, tail, (np.minimum(mean, 0), np.maximum(mean, 0)), -1.0)
    for row in np.flatnonzero(few):
        low[row], high[row] = bounds.paired(diffs[row], tail)[1:3]
    return np.maximum(np.minimum(low, mean), -1), np.minimum(np.maximum(high, mean), 1)


def mean_many(scores, tail):
    """Low and high of `bounds.mean_interval` for graded scores (R, n), `tail` of error each."""
    scores = np.round(scores, 9)
    mean = scores.mean(1)
    low, high = guarded(scores, tail, (mean / 2, (1 + mean) / 2), 0.0)
    return np.maximum(np.minimum(low, mean), 0), np.minimum(np.maximum(high, mean), 1)


def guarded(values, tail, middle, lowest):
    """`bounds._guarded` of every row, few being those beyond `middle`."""
    low, high = np.empty((2, len(values)))
    lacking = (values < middle[0][:, None] - 1e-9).sum(1) < bounds.FEW
    wanting = (values > middle[1][:, None] + 1e-9).sum(1) < bounds.FEW
    for side, out, less, end in ((0, low, lacking, lowest), (1, high, wanting, 1.0)):
        for more in (False, True):
            rows = np.flatnonzero(less == more)
            if rows.size:
                own = values[rows]
                if more:
                    own = np.append(own, np.full((rows.size, 1), end), 1)
                out[rows] = bca_many(own, tail)[side]
    n = values.shape[1]
    half = t.ppf(1 - tail, n - 1) * values.std(1, ddof=1) / np.sqrt(n)
    mean = values.mean(1)
    return np.minimum(low, mean - half), np.maximum(high, mean + half)


def pair_bounds(scores, level, factor=1.0):
    """(mean, low, high), each (R, A, A), of graded scores (R, n, A); [s, b] is b - s."""
    runs, _, arms = scores.shape
    mean, low, high = np.zeros((3, runs, arms, arms))
    wide = np.broadcast_to(factor, (arms, arms))
    for s in range(arms):
        for b in range(s + 1, arms):
            diffs = scores[:, :, b] - scores[:, :, s]
            middle = diffs.mean(1)
            down, up = paired_many(diffs, level)
            down, up = (middle + wide[s, b] * (x - middle) for x in (down, up))
            mean[:, s, b], low[:, s, b], high[:, s, b] = middle, down, up
            mean[:, b, s], low[:, b, s], high[:, b, s] = -middle, -up, -down
    return mean, low, high


def cells(rng, runs, n, truth, rho, family, rules, chunk=250):
    """Outcome by rule, as `stats_worlds.ladder_cells`, for graded scores."""
    parts, counts, q = {name: [] for name in rules}, [], None
    for start in range(0, runs, chunk):
        scores, q = answers(rng, min(chunk, runs - start), n, truth, rho, family)
        counts.append(scores)
        known = {}  # margins share their bounds, which take nearly all of the time
        for name, (margin, level, factor) in rules.items():
            if (level, factor) not in known:
                known[level, factor] = pair_bounds(scores, level, factor)
            parts[name].append(ladder.climb_many(*known[level, factor], margin))
    whole = np.concatenate(counts)
    out = {}
    for name, (margin, _, _) in rules.items():
        found = [np.concatenate([part[k] for part in parts[name]]) for k in range(3)]
        out[name] = worlds.outcome(q, found, margin)
        own = np.take_along_axis(whole, found[0][:, None, None], 2)[..., 0]
        low, high = mean_many(own, bounds.NAMED / 2)
        out[name]["covers"] = ((low <= q[found[0]]) & (q[found[0]] <= high)).mean()
    return out
