"""Simulated settling by a judge who errs at times: the bets that ship, many studies at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuneworthy.records.settlement import share_of_wrong_votes
from tuneworthy.stats import bounds
from tuneworthy.stats.betting import BettingTest

MARGIN, POOL, PLANNED, MOST_PAIRS = 0.05, 2500, 700, 120
LEVEL = bounds.level(0.05, 2, 2)  # of the second look, as settling is


def settled(
    rng: np.random.Generator, studies: int, differ: float, gain: float, wrong: float, allow: bool
) -> dict[str, Any]:
    """Return how often the true gain is rejected before the margin is or the pool ends.

    On `differ` of the inputs one of two systems alone is right; the judge names the other one in
    `wrong` of the votes, and one pair in ten is shown twice. `allow`: as shipped; False: each vote
    is taken as right. `settled` is the share of studies whose pair is closed, `votes` their mean.
    """
    estimates = np.array(
        [[share_of_wrong_votes(min(a, n), n) for a in range(MOST_PAIRS)] for n in range(MOST_PAIRS)]
    )
    bets = BettingTest(np.array([gain, MARGIN]), 2 * LEVEL, studies)
    broken, closed, votes = (np.zeros(studies) for _ in range(3))
    again, agreed = (np.zeros(studies, int) for _ in range(2))
    for _ in range(POOL):
        draw, turned = rng.random(studies), rng.random(studies) < wrong
        truth = np.where(draw < (differ + gain) / 2, 1.0, np.where(draw < differ, -1.0, 0.0))
        kept = 1 - 2 * estimates[again, agreed][:, None] if allow else 1.0
        living = bets.see(np.where(turned, -truth, truth), PLANNED, kept)
        broken[(closed == 0) & ~living[:, 0]] = 1
        votes += (closed == 0) & (truth != 0)
        closed[~living[:, 1]] = 1
        twice = (truth != 0) & (rng.random(studies) < 0.1) & (again < MOST_PAIRS - 1)
        again += twice
        agreed += twice & (turned == (rng.random(studies) < wrong))
    return {
        "rejected": float(broken.mean()),
        "settled": float(closed.mean()),
        "votes": float(votes.mean()),
        "studies": studies,
    }
