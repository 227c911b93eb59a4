"""Cross-fitted studies whose last arm is another one in every fold: retraining noise and seeds."""

import numpy as np
import stats_worlds as worlds
from scipy.stats import norm

from tuneworthy.matrix import ladder
from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import RETRAINING_SD
from tuneworthy.stats.graded import clopper_pearson

DEV = 40


def retrained(rng, runs, fits, q, sd, seeds):
    """True scores (R, fits) of the seed best on dev, of `seeds` retrainings that scatter by sd."""
    true = np.clip(q + sd * rng.standard_normal((runs, fits, seeds)), 0.01, 0.99)
    dev = rng.binomial(DEV, true)
    return np.take_along_axis(true, dev.argmax(2)[..., None], 2)[..., 0]


def fold_widening(diffs, folds, factor, retrained=0.0):
    """`clusters.fold_widening` of every row of `diffs` (R, n), without groups."""
    sizes = np.bincount(folds)
    means = np.stack([diffs[:, folds == f].mean(1) for f in range(sizes.size)], 1)
    spread = diffs.var(1)
    excess = np.maximum(retrained**2, means.var(1, ddof=1) - spread * (1 / sizes).mean())
    more = excess * (1 + 1 / sizes.size) * diffs.shape[1] / np.maximum(spread, 1e-300)
    return np.where(spread > 0, np.sqrt(factor**2 + more), factor)


def pair_bounds(scores, folds, level, factor, fitted=1):
    """(mean, low, high), each (R, A, A); pairs with a fitted arm are widened by fold."""
    mean, _, high = worlds.pair_bounds(scores, level)
    _, _, alone = worlds.pair_bounds(scores, level, joint=False)
    arms = scores.shape[2]
    for b in range(arms - fitted, arms):
        for s in range(b):
            diffs = scores[..., b].astype(float) - scores[..., s]
            wide = fold_widening(diffs, folds, factor, RETRAINING_SD)
            for one, other in ((s, b), (b, s)):
                middle = mean[:, one, other]
                far = middle + wide * (alone[:, one, other] - middle)
                high[:, one, other] = np.minimum(1, np.maximum(high[:, one, other], far))
    return mean, -high.swapaxes(1, 2), high


def study(rng, runs, n, truth, rho, k, sd, seeds, fitted=1):
    """0/1 scores (R, n, A), the fold of each case, and true scores (R, A) of what will be built.

    The last `fitted` arms are trained anew in every fold. With one fold (a test set) what is scored
    is what is built; with more it is one more fit.
    """
    folds = np.arange(n) % k
    q = np.broadcast_to(np.asarray(truth, float), (runs, len(truth))).copy()
    cuts = np.broadcast_to(norm.ppf(q)[:, None], (runs, n, len(truth))).copy()
    for arm in range(len(truth) - fitted, len(truth)):
        fits = retrained(rng, runs, k if k == 1 else k + 1, truth[arm], sd, seeds)
        q[:, arm], cuts[..., arm] = fits[:, -1], norm.ppf(fits)[:, folds]
    return worlds.latent(rng, cuts.shape, rho) < cuts.astype(np.float32), folds, q


def cell(rng, runs, n, truth, rho, *, k, sd, seeds=2, margin=0.05, chunk=250):
    """Outcome of the shipped rule; the last arm is trained anew in every fold."""
    level = bounds.level(0.05)
    factor = bounds.width_factor(k, n / k, n - n / k)
    qs, found, inside = [], [], []
    for start in range(0, runs, chunk):
        scores, folds, q = study(rng, min(chunk, runs - start), n, truth, rho, k, sd, seeds)
        parts = worlds.pair_bounds(scores, level) if k == 1 else (
            pair_bounds(scores, folds, level, factor)
        )  # fmt: skip
        found.append(ladder.climb_many(*parts, margin))
        inside.append(covered(scores, folds, found[-1][0], q, factor))
        qs.append(q)
    joined = [np.concatenate([part[i] for part in found]) for i in range(3)]
    plain, wide = np.concatenate(inside, 1).mean(1)
    return {
        **worlds.outcome(np.concatenate(qs), joined, margin), "covers": wide, "rows alone": plain
    }  # fmt: skip


def covered(scores, folds, named, q, factor):
    """(2, R): whether the named arm's interval holds its true score, row by row and widened."""
    own = np.take_along_axis(scores, named[:, None, None], 2)[..., 0].astype(float)
    truth = np.take_along_axis(q, named[:, None], 1)[:, 0]
    low, high = clopper_pearson(own.sum(1), own.shape[1], bounds.CHOSEN_ARM_LEVEL / 2)
    wide = np.ones(len(own))
    if factor > 1:
        last = named == scores.shape[2] - 1
        wide = np.where(last, fold_widening(own, folds, factor, RETRAINING_SD), 1.0)
    mean = own.mean(1)
    return np.stack([
        (mean - w * (mean - low) <= truth) & (truth <= mean + w * (high - mean)) for w in (1, wide)
    ])  # fmt: skip
