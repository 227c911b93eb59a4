"""Worlds in which arms are really refitted: Gaussian classes, learners with an exact true score.

All but the nearest neighbour end as a linear rule (w, b), whose accuracy is known in closed form.
Every function works on R studies at once: X is (R, m, p), y is (R, m) with -1 / +1.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr


def draw(rng, runs, rows, mu):
    y = rng.choice((-1.0, 1.0), (runs, rows))
    return y[..., None] * mu + rng.standard_normal((runs, rows, mu.size)), y


def ridge(strength):
    def fit(X, y, rng):
        A = np.concatenate([X, np.ones((*y.shape, 1))], 2)
        gram = A.swapaxes(1, 2) @ A + strength * np.eye(A.shape[2])
        w = np.linalg.solve(gram, A.swapaxes(1, 2) @ y[..., None])[..., 0]
        return w[:, :-1], w[:, -1]

    return fit


def centroid(X, y, rng):
    up, down = (y > 0)[..., None], (y < 0)[..., None]
    a = (X * up).sum(1) / np.maximum(up.sum(1), 1)
    b = (X * down).sum(1) / np.maximum(down.sum(1), 1)
    return a - b, -((a - b) * (a + b)).sum(1) / 2


def stump(X, y, rng):
    """The one feature and threshold that make the fewest training errors: unstable."""
    order = np.argsort(X, 1)
    ranked = np.take_along_axis(X, order, 1)
    labels = np.take_along_axis(np.broadcast_to(y[..., None], X.shape), order, 1)
    gain = np.cumsum(labels, 1)[:, :-1] * 2 - labels.sum(1, keepdims=True)
    flat = np.abs(gain).reshape(len(X), -1).argmax(1)
    at, feature = np.unravel_index(flat, gain.shape[1:])
    runs = np.arange(len(X))
    cut = (ranked[runs, at, feature] + ranked[runs, at + 1, feature]) / 2
    sign = -np.sign(gain[runs, at, feature])
    w = np.zeros((len(X), X.shape[2]))
    w[runs, feature] = sign
    return w, -sign * cut


def jittered(size):
    """Ridge plus noise of its own, like a retraining with another seed: unstable at any n."""

    def fit(X, y, rng):
        w, b = ridge(1.0)(X, y, rng)
        length = np.linalg.norm(w, axis=1, keepdims=True)
        return w + size * length * rng.standard_normal(w.shape) / np.sqrt(w.shape[1]), b

    return fit


def handful(rows):
    """Centroids of a few training rows drawn at random, like shots in a prompt: unstable."""

    def fit(X, y, rng):
        picked = np.argsort(rng.random(y.shape), 1)[:, :rows]
        w, b = centroid(
            np.take_along_axis(X, picked[..., None], 1), np.take_along_axis(y, picked, 1), rng
        )
        return w, b

    return fit


def right(rule, X, y):
    w, b = rule
    return (np.einsum("rmp,rp->rm", X, w) + b[:, None]) * y > 0


def accuracy(rule, mu):
    w, b = rule
    length = np.maximum(np.linalg.norm(w, axis=1), 1e-12)
    drift = w @ mu
    return (ndtr((drift + b) / length) + ndtr((drift - b) / length)) / 2


@dataclass(frozen=True)
class Studies:
    """R cross-fitted studies: differences (R, n), the fold of each column, the true difference."""

    diffs: np.ndarray
    folds: np.ndarray
    truth: np.ndarray


def crossfit(rng, runs, n, k, pair, mu):
    """Fit both learners on each training fold and on all rows; truth is that of the refit."""
    X, y = draw(rng, runs, n, mu)
    folds = np.arange(n) % k
    diffs = np.zeros((runs, n))
    for fold in range(k):
        test, train = folds == fold, folds != fold
        for sign, learner in zip((1, -1), pair, strict=True):
            rule = learner(X[:, train], y[:, train], rng)
            diffs[:, test] += sign * right(rule, X[:, test], y[:, test])
    truth = sum(
        s * accuracy(learner(X, y, rng), mu) for s, learner in zip((1, -1), pair, strict=True)
    )
    return Studies(diffs, folds, truth)


def neighbour_right(X, y, train, test):
    """1-NN: right answers (R, test) of one rule a study."""
    a, b = X[:, test], X[:, train]
    far = (b**2).sum(2)[:, None] - 2 * a @ b.swapaxes(1, 2)
    nearest = far.argmin(2)
    return np.take_along_axis(y[:, train], nearest, 1) == y[:, test]


def crossfit_neighbour(rng, runs, n, k, other, mu, fresh=8000):
    """1-NN against a linear rule; the truth of 1-NN is measured on fresh rows."""
    X, y = draw(rng, runs, n, mu)
    folds = np.arange(n) % k
    diffs = np.zeros((runs, n))
    for fold in range(k):
        test, train = folds == fold, folds != fold
        rule = other(X[:, train], y[:, train], rng)
        diffs[:, test] = neighbour_right(X, y, train, test).astype(float)
        diffs[:, test] -= right(rule, X[:, test], y[:, test])
    truth = np.empty(runs)
    for run in range(runs):
        Z, z = draw(rng, 1, fresh, mu)
        both = np.concatenate([X[run : run + 1], Z], 1), np.concatenate([y[run : run + 1], z], 1)
        hits = neighbour_right(*both, np.arange(n), np.arange(n, n + fresh))
        rule = other(X[run : run + 1], y[run : run + 1], rng)
        truth[run] = hits.mean() - right(rule, Z, z).mean()
    return Studies(diffs, folds, truth)


def signal(features, useful, size):
    mu = np.zeros(features)
    mu[:useful] = size
    return mu


MU = signal(20, 10, 0.3)
WIDE = signal(60, 30, 0.15)
PAIRS = {
    "ridge against centroid": (ridge(1.0), centroid, MU),
    "weak against strong ridge": (ridge(1e-3), ridge(100.0), MU),
    "bare regression, 60 features": (ridge(1e-6), centroid, WIDE),
    "stump against ridge": (stump, ridge(1.0), MU),
    "stump against centroid": (stump, centroid, MU),
    "retraining noise 2 pp": (jittered(0.7), ridge(1.0), MU),
    "32 random shots": (handful(32), ridge(1.0), MU),
    "nearest neighbour": (None, ridge(1.0), MU),
}
HARSH = {"16 random shots": (handful(16), ridge(1.0), MU)}
"""Beyond the promise: the artefact itself scatters by 4 points from one fit to the next."""


def studies(rng, runs, n, k, pair):
    """Cross-fitted studies of a named pair, in chunks that fit in memory."""
    one, other, mu = pair
    parts = []
    for start in range(0, runs, 50):
        size = min(50, runs - start)
        if one is None:
            parts.append(crossfit_neighbour(rng, size, n, k, other, mu))
        else:
            parts.append(crossfit(rng, size, n, k, (one, other), mu))
    return Studies(
        np.concatenate([p.diffs for p in parts]),
        parts[0].folds,
        np.concatenate([p.truth for p in parts]),
    )
