"""P19: intervals cover, with arms really refitted, in groups, graded and on few rows."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "stats"))

import stats_coverage as coverage
import stats_learners as learners
import stats_worlds as worlds

from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import Folds, fold_width_factor
from tuneworthy.stats.graded import discordant_bounds

ROWS = [(n, k) for n in (100, 250, 500) for k in (5, 10)]
TIERS = [pytest.param(100, marks=pytest.mark.full), pytest.param(1000, marks=pytest.mark.long)]


SLOW = [pytest.param(40, marks=pytest.mark.full), pytest.param(1000, marks=pytest.mark.long)]


def cover(study, k, factor=None, *, folds=True, only=None):
    """Coverage of the refitted artefacts' difference by 95 % intervals, and their mean width.

    The parts of `bounds.paired`, all studies at once; `only` scores the first folds alone.
    """
    scored = study.folds < (only or k)
    diffs, numbers = study.diffs[:, scored], study.folds[scored]
    n = study.diffs.shape[1]
    factor = factor or bounds.width_factor(only or k, n / k, n - n / k)
    wins, losses = (diffs > 0).sum(1), (diffs < 0).sum(1)
    low, high = discordant_bounds(wins, losses, diffs.shape[1], 0.025)
    wide = np.array(
        [fold_width_factor(row, Folds(numbers), factor) if folds else factor for row in diffs]
    )
    mean = diffs.mean(1)
    low, high = mean + wide * (low - mean), mean + wide * (high - mean)
    inside = (low <= study.truth) & (study.truth <= high)
    return inside.mean(), (high - low).mean()


def test_the_vectorised_bounds_are_those_of_paired():
    rng = np.random.default_rng(79)
    study = learners.studies(rng, 8, 100, 5, learners.PAIRS["32 random shots"])
    found = [bounds.paired(row, 0.025, 1.5, folds=Folds(study.folds)) for row in study.diffs]
    assert cover(study, 5)[1] == pytest.approx(np.mean([b.high - b.low for b in found]), abs=1e-6)


@pytest.mark.every(2)
@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize("name", learners.PAIRS)
def test_p19_cross_fitted_bounds_cover_the_refitted_artefact(name, runs):
    for n, k in ROWS:
        rng = np.random.default_rng([80, n, k])
        study = learners.studies(rng, runs, n, k, learners.PAIRS[name])
        assert cover(study, k)[0] >= worlds.floor(0.94, runs), (n, k)


@pytest.mark.full
def test_p19_rows_taken_as_independent_do_not_cover():
    rng = np.random.default_rng(81)
    study = learners.studies(rng, 300, 500, 10, learners.PAIRS["stump against ridge"])
    assert cover(study, 10, 1.0, folds=False)[0] < 0.87
    assert cover(study, 10)[0] > 0.93


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize("n", [20, 50, 100, 200, 500])
def test_p19_paired_bounds_cover_in_every_cell(n, runs):
    runs *= 10
    for d in (0.01, 0.05, 0.1, 0.2, 0.4):
        for oneway in (0.5, 0.75, 1.0):
            rng = np.random.default_rng([82, n, int(1000 * d), int(100 * oneway)])
            p = [d * (1 - oneway), 1 - d, d * oneway]
            wins, _, losses = rng.multinomial(n, p[::-1], runs).T
            low, high = discordant_bounds(wins, losses, n, 0.025)
            truth = d * (2 * oneway - 1)
            share = ((low <= truth) & (truth <= high)).mean()
            target = 0.9435 if n * d < 5 else 0.93  # one-way differences are worst
            assert share >= worlds.floor(target, runs), (d, oneway)


@pytest.mark.full
def test_p19_a_plain_bootstrap_is_nothing_to_nothing_where_pairs_are_few():
    rng = np.random.default_rng(83)
    D = (rng.random((400, 20)) < 0.01).astype(float)
    picked = D[:, rng.integers(0, 20, (1000, 20))].mean(2)
    low, high = np.quantile(picked, (0.025, 0.975), 1)
    assert ((low == 0) & (high == 0)).mean() > 0.5
    assert ((low <= 0.01) & (high >= 0.01)).mean() < 0.5
    ours = [bounds.paired(row, 0.025) for row in D]
    assert np.mean([b.low <= 0.01 <= b.high for b in ours]) == 1.0


@pytest.mark.parametrize("runs", SLOW)
@pytest.mark.parametrize("kind", ["both ways", "one way", "rare total losses"])
def test_p19_graded_bounds_cover(kind, runs):
    for n in (20, 50, 100, 200):
        for d in (0.1, 0.3, 1.0):
            rng = np.random.default_rng([84, n, int(10 * d)])
            D, truth = coverage.differences(rng, runs, n, d, kind)
            found = [bounds.paired(row, 0.025) for row in D]
            share = np.mean([b.low <= truth <= b.high for b in found])
            assert share >= worlds.floor(0.93, runs), (n, d)


@pytest.mark.parametrize("runs", SLOW)
@pytest.mark.parametrize("clusters", [8, 30, 60])
@pytest.mark.parametrize("half", [1.0, 0.5])
def test_p19_groups_cover_and_rows_alone_do_not(clusters, half, runs):
    rng = np.random.default_rng([85, clusters])
    groups = np.repeat(np.arange(clusters), 5)
    ours = alone = 0
    for _ in range(runs):
        shared = rng.choice([-1.0, 0.0, 1.0], clusters, p=[0.1, 0.6, 0.3])[groups]
        own = rng.choice([-1.0, 0.0, 1.0], clusters * 5, p=[0.1, 0.6, 0.3])
        D = np.where(rng.random(clusters * 5) < 0.8, shared, own) * half
        found, plain = (bounds.paired(D, 0.025, groups=g) for g in (groups, None))
        ours += found.low <= 0.2 * half <= found.high
        alone += plain.low <= 0.2 * half <= plain.high
    assert ours / runs >= worlds.floor(0.93, runs)
    assert alone / runs < ours / runs
