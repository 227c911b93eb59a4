"""Simulated studies: arms of known true score on the same cases, many studies at once."""

from functools import cache

import numpy as np
from scipy.stats import beta, norm

from tuneworthy.stats import ladder
from tuneworthy.stats.discordant import discordant

NEAR, FAR = 0.90, 0.61
"""Latent correlations at which two arms at .80 differ on a tenth, a fifth of the cases."""


def answers(rng, runs, n, q, rho):
    """0/1 scores (R, n, A); `q` is (A,) or (R, A); dependence by one difficulty a case."""
    q = np.broadcast_to(np.asarray(q, float), (runs, np.shape(q)[-1]))
    shared = rng.standard_normal((runs, n, 1), dtype=np.float32)
    own = rng.standard_normal((runs, n, q.shape[1]), dtype=np.float32)
    latent = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    return latent < norm.ppf(q).astype(np.float32)[:, None]


@cache
def _table(n, level):
    wins, losses = np.triu_indices(n + 1)
    losses = losses - wins  # every pair with wins + losses <= n
    low, high = np.zeros((2, n + 1, n + 1))
    low[wins, losses], high[wins, losses] = discordant(wins, losses, n, level)
    return low, high


def pair_bounds(scores, level, factor=1.0):
    """(mean, low, high), each (R, A, A): entry [s, b] is about b - s."""
    n = scores.shape[1]
    right = scores.astype(np.float32)
    wins = np.rint((1 - right).swapaxes(1, 2) @ right).astype(int)
    losses = wins.swapaxes(1, 2)
    mean = (wins - losses) / n
    if n <= 500:
        table = _table(n, level)
        low, high = table[0][wins, losses], table[1][wins, losses]
    else:
        kinds, place = np.unique(wins * (n + 1) + losses, return_inverse=True)
        low, high = (
            b[place].reshape(wins.shape)
            for b in discordant(kinds // (n + 1), kinds % (n + 1), n, level)
        )
    factor = np.broadcast_to(factor, mean.shape[1:])
    return mean, mean - factor * (mean - low), mean + factor * (high - mean)


def outcome(q, named, left, firm, margin):
    """Shares firm, broken, too complex, and median left, mean regret in points."""
    q = np.broadcast_to(q, (named.size, np.shape(q)[-1]))
    own = np.take_along_axis(q, named[:, None], 1)[:, 0]
    regret = q.max(1) - own
    enough = (q >= q.max(1, keepdims=True) - margin - 1e-12).argmax(1)
    return {
        "firm": firm.mean(),
        "left": 100 * np.median(left),
        "regret": 100 * regret.mean(),
        "complex": (named > enough).mean(),
        "broken": (regret > left + 1e-12).mean(),
        "needless": (own[:, None] <= np.where(np.arange(q.shape[1]) < named[:, None], q, -1))
        .any(1)
        .mean(),
    }


def study_cell(rng, runs, n, truth, margin, rho, *, level=None, factor=1.0, chunk=200):
    """Run the rule on `runs` studies; `truth` is (A,) or a function of (rng, runs)."""
    named, left, firm, qs = [], [], [], []
    while runs > 0:
        size = min(chunk, runs)
        q = truth(rng, size) if callable(truth) else np.broadcast_to(truth, (size, len(truth)))
        one_sided = level or 0.05 / (q.shape[1] - 1)
        found = ladder.climb_many(
            *pair_bounds(answers(rng, size, n, q, rho), one_sided, factor), margin
        )
        for part, value in zip((named, left, firm, qs), (*found, q), strict=True):
            part.append(value)
        runs -= size
    named, left, firm, qs = (np.concatenate(p) for p in (named, left, firm, qs))
    return outcome(qs, named, left, firm, margin)


TRUTHS = {
    "equal": (0.8,) * 5,
    "simplest best": (0.85, 0.8, 0.8, 0.8, 0.8),
    "prompt enough": (0.6, 0.8, 0.81, 0.82, 0.84),
    "+15": (0.7, 0.7, 0.7, 0.7, 0.85),
    "random": lambda rng, runs: np.clip(rng.normal(0.78, 0.06, (runs, 5)), 0.02, 0.98),
}


def last_fitted(arms, factor=1.5):
    """Width factors (A, A) where the last arm learns from the folds."""
    wide = np.ones((arms, arms))
    wide[-1] = wide[:, -1] = factor
    return wide


def at_most(limit, runs):
    """Failures allowed in `runs` for the one-sided 95 % bound of their rate to stay <= limit."""
    k = 0
    while k < runs and beta.ppf(0.95, k + 1, runs - k) <= limit:
        k += 1
    return k - 1


def floor(target, runs, sigma=3.0):
    """Coverage below which `runs` draws at `target` don't fall by chance (3 standard errors)."""
    return target - sigma * np.sqrt(target * (1 - target) / runs)
