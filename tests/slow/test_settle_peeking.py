"""P19: to stop a settlement at the best moment breaks its bound no oftener than the level says."""

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from tuneworthy.stats import bounds
from tuneworthy.stats.betting import BettingTest
from tuneworthy.stats.graded import discordant_bounds
from tuneworthy.verdict.open_pairs import OpenPair

sys.path.append(str(Path(__file__).parents[1] / "unit" / "verdict"))
import verdict_scenes as scenes

TIERS = [pytest.param(2000, marks=pytest.mark.full), pytest.param(20000, marks=pytest.mark.long)]
MARGIN, STUDY, POOL = 0.05, 250, 800


def settlements(rng, runs, truth, d, factor):
    """Return how often a settlement of two arms broke its promise, and how often a naive one did.

    A study of 250 rows, then up to 800 new inputs one by one; both stop as soon as the upper bound
    is within the margin. The promise is broken where the bound at the stop lies below the truth.
    The naive one takes the fixed-n bound of the new inputs at the same level, at every click.
    """
    level = bounds.level(0.05, 2, 2)
    p = [(d + truth) / 2, (d - truth) / 2]
    wins, losses, _ = rng.multinomial(STUDY, [*p, 1 - d], runs).T
    _, high = discordant_bounds(wins, losses, STUDY, level)
    mean = (wins - losses) / STUDY
    study = mean + factor * (high - mean)
    near = zip(wins // 3 * 3, losses // 3 * 3, strict=True)  # any plan keeps the bound valid
    plan = np.array([_planned(int(w), int(lost), level, factor) for w, lost in near])
    firm = study <= MARGIN
    broken = firm & (np.maximum(study, 0) < truth)
    naive, stopped = broken.copy(), firm.copy()
    bets = BettingTest(np.array([truth, MARGIN]), 2 * level, runs)
    won, lost = np.zeros(runs, int), np.zeros(runs, int)
    for at in range(1, POOL + 1):
        D = rng.choice([1, -1, 0], runs, p=[*p, 1 - d])
        living = bets.see(D, plan[:, None])
        out = ~firm & ~living[:, 1]
        broken |= out & (truth >= MARGIN)  # the margin is ruled out: no mean that large is left
        firm |= out
        won, lost = won + (D > 0), lost + (D < 0)
        if at >= 30 and at % 10 == 0:
            _, fixed = discordant_bounds(won, lost, at, level)
            out = ~stopped & (fixed <= MARGIN)
            naive |= out & (truth >= MARGIN)
            stopped |= out
    return broken.mean(), naive.mean(), firm.mean()


@lru_cache
def _planned(wins, losses, level, factor):
    one = scenes.pair("b", "a", wins, losses, STUDY, level, factor)
    return max(50, OpenPair("b", "a", MARGIN).planned_rows(one, POOL))


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize("factor", [1.0, 1.5])
@pytest.mark.parametrize("d", [0.1, 0.2, 0.4])
def test_p19_an_arm_worth_the_margin_is_not_settled_away(d, factor, runs):
    rng = np.random.default_rng([90, int(100 * d), int(10 * factor)])
    broken, naive, _ = settlements(rng, runs, MARGIN, d, factor)
    error = 3 * np.sqrt(0.05 * 0.95 / runs)
    assert broken <= 0.05 + error
    pays = 2 * bounds.level(0.05, 2)  # two bounds at the level of a second look
    # A bound for one look, looked at again and again, breaks more often than that.
    assert naive > pays + 3 * np.sqrt(pays * (1 - pays) / runs)


@pytest.mark.parametrize("runs", TIERS)
def test_p19_a_settlement_comes_to_an_end_where_the_arms_are_equal(runs):
    rng = np.random.default_rng(91)
    broken, _, firm = settlements(rng, runs, 0.0, 0.1, 1.5)
    assert broken == 0
    assert firm > 0.9
