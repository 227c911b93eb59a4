"""Graded studies with rare total losses inside small noise: how often the shipped bounds break."""

import numpy as np

from tuneworthy.stats import bounds

MARGINS = (0.01, 0.02, 0.05)


def losses(rng, n, fails, shared=0.0, sd=0.03, level=0.8, lead=0.0):
    """Differences rival - named: the named arm fails a share of the rows, both fail `shared`.

    `lead` is what the rival is ahead on every row.
    """
    scores = np.clip(level + rng.normal(0, sd, (2, n)) + np.array([[lead], [0.0]]), 0, 1)
    both, own = rng.random(n) < shared, rng.random(n) < fails
    rival, named = np.where(both, 0, scores[0]), np.where(both | own, 0, scores[1])
    return rival - named


def truth(fails, shared=0.0, sd=0.03, level=0.8, lead=0.0):
    """The true mean difference: what the named arm loses where it fails alone, and the lead."""
    del sd
    return (level * fails + lead) * (1 - shared)


WORLDS = {
    **{
        f"noise .03, fails {fails:.0%}, n {n}": (n, {"fails": fails})
        for fails in (0.01, 0.03, 0.07)
        for n in (12, 30, 75, 150, 400)
    },
    **{
        f"losses shared 5 % and own 3 %, n {n}": (n, {"fails": 0.03, "shared": 0.05})
        for n in (30, 75, 150)
    },
    **{
        f"noise .03, rival .2 ahead, fails {fails:.0%}, n {n}": (
            n,
            {"fails": fails, "level": 0.6, "lead": 0.2},
        )
        for fails in (0.01, 0.02)
        for n in (150, 250)
    },
    **{
        f"noise .1, fails {fails:.0%}, n {n}": (n, {"fails": fails, "sd": 0.1, "level": 0.7})
        for fails in (0.01, 0.03)
        for n in (75, 150)
    },
}


def cell(rng, studies, world):
    """How often the upper bound lies below the truth, and is firm at three margins."""
    n, kind = WORLDS[world]
    true, level = truth(**kind), bounds.level(0.05)
    found = np.array([bounds.paired(losses(rng, n, **kind), level)[:3] for _ in range(studies)])
    mean, low, high = found.T
    wrong = [((high <= m) & (true > m + 1e-9)).mean() for m in MARGINS]
    return {
        "broken": (high < true - 1e-9).mean(),
        "broken below": (low > true + 1e-9).mean(),
        "firm and wrong": max(wrong),
        "width": (high - mean).mean(),
    }


def own(rng, studies, n, fails):
    """How often the interval of an arm that fails totally in few rows misses its true score."""
    true, missed = 0.8 * (1 - fails), 0
    for _ in range(studies):
        scores = np.where(rng.random(n) < fails, 0, np.clip(0.8 + rng.normal(0, 0.03, n), 0, 1))
        _, low, high = bounds.mean_interval(scores)
        missed += not low <= true <= high
    return {"covers two-sided": 1 - missed / studies}
