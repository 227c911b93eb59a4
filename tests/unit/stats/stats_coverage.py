"""Cells of interval coverage: what is drawn, what is true, how often the shipped bound misses."""

import numpy as np
import stats_folded as folded
import stats_graded as graded
import stats_learners as learners
from scipy.stats import binom

from tuneworthy.stats import bounds
from tuneworthy.stats.graded import clopper_pearson, discordant_bounds

ROWS = (20, 50, 100, 200, 500)
RATES = (0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99)
DIFFER, ONEWAY = (0.01, 0.05, 0.1, 0.2, 0.4), (0.5, 0.75, 1.0)
TAIL = 0.025


def exact_rates(rng, studies, n):
    """Clopper-Pearson, summed exactly: nothing is drawn."""
    k = np.arange(n + 1)
    low, high = clopper_pearson(k, n, TAIL)
    for p in RATES:
        inside = (low <= p) & (p <= high)
        yield f"p {p}", {"covers two-sided": binom.pmf(k, n, p)[inside].sum()}


def paired(rng, studies, n):
    """0/1 pairs that differ on a share d, one arm winning a share of them."""
    for d in DIFFER:
        for oneway in ONEWAY:
            p = [d * oneway, 1 - d, d * (1 - oneway)]
            wins, _, losses = rng.multinomial(n, p, studies).T
            low, high = discordant_bounds(wins, losses, n, TAIL)
            truth = d * (2 * oneway - 1)
            yield f"d {d} | one way {oneway}", judged(low, high, truth)


def judged(low, high, truth):
    below, above = (truth < low).mean(), (truth > high).mean()
    return {"covers two-sided": 1 - below - above, "below": below, "above": above}


def differences(rng, studies, n, d, shape):
    """Graded differences (R, n) and their true mean."""
    on = rng.random((studies, n)) < d
    if shape == "both ways":
        return on * rng.integers(-3, 4, (studies, n)) / 3, 0.0
    if shape == "one way":
        return on * rng.beta(1, 3, (studies, n)), d * 0.25
    small = rng.beta(2, 6, (studies, n))  # many small gains, one in ten a total loss
    return on * np.where(rng.random((studies, n)) < 0.1, -1, small), d * (0.9 * 0.25 - 0.1)


def graded_pairs(rng, studies, n, shape):
    """Graded pairs; fewer than ten differing take the betting bound, which is slow to draw."""
    for d in (0.1, 0.3, 1.0):
        runs = studies if n * d >= 30 else min(studies, 400)
        diffs, truth = differences(rng, runs, n, d, shape)
        yield f"d {d}", {**judged(*graded.paired_many(diffs, TAIL), truth), "studies": runs}


def clustered(rng, studies, clusters, half):
    """Groups of five rows that mostly share their outcome, 0/1 (half 1) or graded."""
    runs, groups = min(studies, 1000), np.repeat(np.arange(clusters), 5)
    low, high, plain = np.empty(runs), np.empty(runs), 0
    for run in range(runs):
        shared = rng.choice([-1.0, 0.0, 1.0], clusters, p=[0.1, 0.6, 0.3])[groups]
        own = rng.choice([-1.0, 0.0, 1.0], clusters * 5, p=[0.1, 0.6, 0.3])
        values = np.where(rng.random(clusters * 5) < 0.8, shared, own) * half
        low[run], high[run] = bounds.paired(values, TAIL, groups=groups)[1:3]
        alone = bounds.paired(values, TAIL)
        plain += alone.low <= 0.2 * half <= alone.high
    yield "", {**judged(low, high, 0.2 * half), "rows alone": plain / runs, "studies": runs}


def crossfitted(rng, studies, n, k, pair):
    """Arms really refitted: the pair's bounds and the interval of the fitted arm's own score."""
    runs = min(studies, 300 if pair == "nearest neighbour" else 2000)
    study = learners.studies(rng, runs, n, k, learners.PAIRS[pair])
    wins, losses = (study.diffs > 0).sum(1), (study.diffs < 0).sum(1)
    low, high = discordant_bounds(wins, losses, n, TAIL)
    mean, factor = study.diffs.mean(1), bounds.width_factor(k, n / k, n - n / k)
    wide = folded.fold_widening(study.diffs, study.folds, factor)
    cell = judged(mean - wide * (mean - low), mean + wide * (high - mean), study.truth)
    naive = judged(low, high, study.truth)["covers two-sided"]
    yield "", {**cell, "rows alone": naive, "studies": runs}


KINDS = {
    "rates": exact_rates,
    "paired": paired,
    "graded": graded_pairs,
    "clustered": clustered,
    "crossfitted": crossfitted,
}


def cells():
    """Yield (kind, arguments) of every unit."""
    for n in ROWS:
        yield "rates", {"n": n}
        yield "paired", {"n": n}
    for n in (20, 50, 100, 200):
        for shape in ("both ways", "one way", "rare total losses"):
            yield "graded", {"n": n, "shape": shape}
    for clusters in (8, 30, 60):
        for half in (1.0, 0.5):
            yield "clustered", {"clusters": clusters, "half": half}
    for pair in learners.PAIRS:
        for n, k in ((100, 5), (100, 10), (250, 5), (250, 10), (500, 5), (500, 10)):
            if not (pair == "nearest neighbour" and n == 500):
                yield "crossfitted", {"n": n, "k": k, "pair": pair}
