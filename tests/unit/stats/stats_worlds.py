"""Simulated studies: arms of known true score on the same cases, many studies at once."""

import numpy as np
from scipy.stats import beta, norm

from tuneworthy.matrix import ladder
from tuneworthy.stats import bounds, many
from tuneworthy.stats.graded import clopper_pearson, discordant_bounds

LARGEST = 0.2
NEAR, FAR = 0.90, 0.61
"""Latent correlations at which two arms at .80 differ on a tenth, a fifth of the cases."""


def answers(rng, runs, n, q, rho):
    """0/1 scores (R, n, A); `q` is (A,) or (R, A); dependence by one difficulty a case."""
    q = np.broadcast_to(np.asarray(q, float), (runs, np.shape(q)[-1]))
    return latent(rng, (runs, n, q.shape[1]), rho) < norm.ppf(q).astype(np.float32)[:, None]


def latent(rng, shape, rho):
    """Standard normals (R, n, A) that share a case's difficulty; `rho` is one number or (A,)."""
    rho = np.asarray(rho, np.float32)
    values = rng.standard_normal(shape, dtype=np.float32)
    values *= np.sqrt(1 - rho)
    values += np.sqrt(rho) * rng.standard_normal((*shape[:2], 1), dtype=np.float32)
    return values


def pair_bounds(scores, level, factor=1.0, joint=True, largest=LARGEST):
    """(mean, low, high), each (R, A, A), of 0/1 scores: entry [s, b] is about b - s.

    `joint`: as shipped, `level` is the error of all bounds of one arm together (see `jointly`);
    else it is that of each bound. A pair with a `factor` is no narrower than that times its bounds
    at `level` alone.
    """
    n = scores.shape[1]
    right = scores.astype(np.float32)
    wins = np.rint((1 - right).swapaxes(1, 2) @ right).astype(int)
    mean = (wins - wins.swapaxes(1, 2)) / n

    def upper(levels):
        return discordant_bounds(wins, wins.swapaxes(1, 2), n, levels[:, None, :])[1]

    alone = upper(np.full((len(scores), scores.shape[2]), level))
    several = joint and scores.shape[2] > 2
    high = jointly(scores, level, upper, largest=largest) if several else alone
    factor = np.broadcast_to(factor, mean.shape[1:])
    wide = np.where(factor > 1, mean + factor * (alone - mean), -1.0)
    high = np.minimum(np.maximum(high, wide), 1)
    high[:, np.arange(mean.shape[1]), np.arange(mean.shape[1])] = 0
    return mean, -high.swapaxes(1, 2), high


def jointly(scores, tail, upper, numbers=None, largest=LARGEST):
    """Upper bounds (R, A, A) of all pairs together, as `matrix.pairs` makes them.

    `upper(levels)` gives them, entry [s, b] of b - s, at the level (R, A) of each b. A rival is
    left out of the second levels where an arm beats it by far: by the `largest` margin and twice
    what the bound allows for. None: wherever it is beaten at all.
    """
    spreads = [many.covariance(study.astype(float), numbers) for study in scores]
    levels = np.array([many.pair_levels(spread, tail) for spread in spreads])
    high, means = upper(levels), scores.mean(1)
    ahead = means[:, None, :] - means[:, :, None]
    least = np.zeros_like(ahead) if largest is None else (ahead + largest) / 2
    far = -high.swapaxes(1, 2) > least  # [s, b]: b beats s by far
    for at in np.flatnonzero(far.any((1, 2))):  # [b, s]: s counts for b
        levels[at] = many.pair_levels(spreads[at], tail, ~far[at].T)
    return np.where(far | far.swapaxes(1, 2), high, upper(levels))


def outcome(q, found, margin, counts=None, n=0):
    """Shares firm, broken, too complex, covered; median left and mean regret in points.

    `found` is what the ladder says (rung, left, firm), `counts` (R, A) the right answers of n.
    `covers`: the two-sided 95 % interval of the named arm's score holds its true score.
    """
    named, left, firm = found
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
        "firm and wrong": (firm & (regret > margin + 1e-12)).mean(),
        "firm and best": (firm & (regret <= 1e-12)).mean(),
        **({} if counts is None else {"covers": covered(counts, n, named, own)}),
    }


def covered(counts, n, named, truth):
    """Share of studies whose exact interval of the named arm holds its true score (0/1 only)."""
    right = np.take_along_axis(counts, named[:, None], 1)[:, 0]
    low, high = clopper_pearson(right, n, bounds.CHOSEN_ARM_LEVEL / 2)
    return ((low <= truth) & (truth <= high)).mean()


def ladder_cells(rng, runs, n, truth, rho, rules, chunk=250):
    """Outcome by rule on the same simulated studies.

    `rules` maps a name to (margin, level, factor) or (margin, level, factor, joint). `truth` is
    (A,) or a function of (rng, runs).
    """
    parts, sizes = {name: [] for name in rules}, []
    while runs > 0:
        size = min(chunk, runs)
        q = truth(rng, size) if callable(truth) else np.broadcast_to(truth, (size, len(truth)))
        scores = answers(rng, size, n, q, rho)
        known = {}  # margins share their bounds, which take nearly all of the time
        for name, (margin, *how) in rules.items():
            key = tuple(one if np.isscalar(one) else id(one) for one in how)
            if key not in known:
                known[key] = pair_bounds(scores, *how)
            parts[name].append((q, ladder.climb_many(*known[key], margin), scores.sum(1)))
        sizes.append(size)
        runs -= size
    out = {}
    for name, (margin, *_) in rules.items():
        q = np.concatenate([part[0] for part in parts[name]])
        found = [np.concatenate([part[1][k] for part in parts[name]]) for k in range(3)]
        counts = np.concatenate([part[2] for part in parts[name]])
        out[name] = outcome(q, found, margin, counts, n)
    return out


def study_cell(rng, runs, n, truth, margin, rho, *, level=None, factor=1.0, chunk=200):
    """Run the rule on `runs` studies; `truth` is (A,) or a function of (rng, runs)."""
    rule = (margin, level or bounds.level(0.05), factor)
    return ladder_cells(rng, runs, n, truth, rho, {"": rule}, chunk)[""]


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


def ten_looks(rng, runs, n, rho, q=0.75, looks=10, chunk=100):
    """Ten studies on the same cases, each with one more arm that is truly no better than the first.

    Shares of runs in which a bound breaks. `k-th`: the last study names the arm that looked best
    of all tried so far, so its bound is the best of ten; `any`: at least one of the ten broke.
    Each with every look at alpha / (k (k + 1)) as shipped, and with nothing paid.
    """
    found = {f"{what}, {how}": 0 for what in ("k-th", "any") for how in ("paid", "free")}
    for start in range(0, runs, chunk):
        size = min(chunk, runs - start)
        scores = answers(rng, size, n, (q,) * (looks + 1), rho)
        means = scores[..., 1:].mean(1)
        for how in ("paid", "free"):
            lows = []
            for look in range(1, looks + 1):
                level = bounds.level(0.05, look if how == "paid" else 1, 2)
                lows.append(pair_bounds(scores[..., [0, look]], level)[1][:, 0, 1])
            broken = np.stack(lows, 1) > 0
            found[f"any, {how}"] += int(broken.any(1).sum())
            last = bounds.level(0.05, looks if how == "paid" else 1, 2)
            best = means.argmax(1) + 1
            pair = np.take_along_axis(scores, best[:, None, None], 2)[..., 0]
            low = pair_bounds(np.stack([scores[..., 0], pair], 2), last)[1][:, 0, 1]
            found[f"k-th, {how}"] += int((low > 0).sum())
    return {key: count / runs for key, count in found.items()}
