"""The chance that a next step names is how often so many rows do settle the pair."""

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from tuneworthy.matrix.sizing import level_at_next_look, superiority_assurance
from tuneworthy.stats import bounds
from tuneworthy.stats.graded import discordant_bounds

sys.path.append(str(Path(__file__).parents[1] / "unit" / "verdict"))
import verdict_scenes as scenes

TIERS = [pytest.param(1500, marks=pytest.mark.full), pytest.param(15000, marks=pytest.mark.long)]
MARGIN = 0.05
NOW = bounds.level(0.05, 1, 2)
NEXT = level_at_next_look(NOW, 1)


def settled(wins, losses, n, level, factor):
    low, high = discordant_bounds(wins, losses, n, level)
    mean = (wins - losses) / n
    below = mean + factor * (high - mean) <= MARGIN
    return below | ((mean + factor * (low - mean) > 0) & (mean >= MARGIN - 1e-9))


def studies(rng, runs, n, base, factor):
    """Return the shares of wins, losses and ties, the counts and the outlook of each open study.

    True gaps are spread evenly from 10 points behind to 20 ahead, as the forecast takes them.
    """
    gap = rng.uniform(-0.1, 0.2, runs)
    differ = np.maximum(base, np.abs(gap) + 0.02)
    p = np.c_[(differ + gap) / 2, (differ - gap) / 2, 1 - differ]
    wins, losses, _ = rng.multinomial(n, p).T
    left = ~settled(wins, losses, n, NOW, factor)

    @lru_cache
    def outlook(won, lost):
        return superiority_assurance(scenes.pair("b", "a", won, lost, n, NOW, factor), MARGIN, NEXT)

    counts = np.c_[wins, losses][left]
    return p[left], counts, [outlook(*one) for one in counts.tolist()]


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize("factor", [1.0, 1.5])
@pytest.mark.parametrize(("n", "base"), [(100, 0.1), (100, 0.2), (250, 0.1), (250, 0.2)])
def test_the_chance_comes_true(n, base, factor, runs):
    rng = np.random.default_rng([n, int(100 * base), int(10 * factor)])
    p, counts, found = studies(rng, runs, n, base, factor)
    for rows in (2 * n, 4 * n):
        told = np.array([one.chance(rows) for one in found])
        more = rng.multinomial(rows - n, p)
        came = settled(*(counts + more[:, :2]).T, rows, NEXT, factor)
        assert told.mean() == pytest.approx(came.mean(), abs=1.5 / np.sqrt(len(found)) + 0.03)
        low, high = np.quantile(told, [1 / 3, 2 / 3])
        assert came[told >= high].mean() > came[told <= low].mean() + 0.05  # tells plans apart


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_a_size_below_the_cap_settles_four_of_five(factor, runs):
    rng = np.random.default_rng([8, int(10 * factor)])
    p, counts, found = studies(rng, runs, 100, 0.1, factor)
    sizes = {one: one.size() for one in set(found)}
    reached = [
        settled(*(had + rng.multinomial(size.rows - 100, shares)[:2]), size.rows, NEXT, factor)
        for shares, had, one in zip(p, counts, found, strict=True)
        if (size := sizes[one]) is not None and size.rows < one.most_rows
    ]
    assert len(reached) > 100
    assert np.mean(reached) == pytest.approx(0.8, abs=1.2 / np.sqrt(len(reached)) + 0.05)
