"""P19: the ladder rule in simulated studies: bounds broken, arms too complex, share firm."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "stats"))

import stats_folded as folded
import stats_graded as graded
import stats_looks
import stats_worlds as worlds

from tuneworthy.matrix import ladder
from tuneworthy.stats import bounds, power
from tuneworthy.stats.clusters import Folds, fold_width_factor
from tuneworthy.stats.graded import discordant_bounds

TIERS = [pytest.param(250, marks=pytest.mark.full), pytest.param(5000, marks=pytest.mark.long)]
PEEKS = [pytest.param(500, marks=pytest.mark.full), pytest.param(5000, marks=pytest.mark.long)]

SECTION_13 = [  # truth, margin, n, then (firm, median left, regret, too complex) near and far
    ("equal", 0.05, 250, (0.25, 6.2, 0, 0.02), (0.09, 8.4, 0, 0.04)),
    ("equal", 0.10, 150, (0.73, 8.6, 0, 0.00), (0.39, 11, 0, 0.01)),
    ("simplest best", 0.05, 150, (0.78, 3.0, 0, 0.00), (0.44, 5.6, 0, 0.00)),
    ("prompt enough", 0.05, 250, (0.06, 8.2, 3.5, 0.33), (0.05, 9.9, 3.7, 0.23)),
    ("prompt enough", 0.10, 250, (0.66, 9.1, 4.0, 0.00), (0.40, 11, 4.0, 0.02)),
    ("+15", 0.05, 75, (0.56, 0, 6.6, 0.00), (0.37, 20, 9.5, 0.00)),
    ("+15", 0.05, 250, (1.00, 0, 0, 0.00), (0.99, 0, 0.1, 0.00)),
    ("random", 0.10, 250, (0.66, 7.4, 3.4, 0.07), (0.59, 8.7, 3.3, 0.09)),
]


@pytest.mark.every(4)
@pytest.mark.parametrize(("truth", "margin", "n", "near", "far"), SECTION_13)
def test_p19_cells_of_the_published_table(truth, margin, n, near, far):
    runs = 300
    for seed, (rho, expected) in enumerate(((worlds.NEAR, near), (worlds.FAR, far))):
        rng = np.random.default_rng([13, seed, n])
        cell = worlds.study_cell(rng, runs, n, worlds.TRUTHS[truth], margin, rho)
        firm, left, regret, complexity = expected
        for name, share in (("firm", firm), ("complex", complexity)):
            slack = 3.5 * np.sqrt(max(share * (1 - share), 0.005) / runs) + 0.006
            assert cell[name] == pytest.approx(share, abs=slack), (name, rho)
        assert cell["left"] == pytest.approx(left, abs=1.2 if left else 0.6)
        assert cell["regret"] == pytest.approx(regret, abs=1.2)
        assert cell["broken"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def allowed(runs):
    """224 of 5,000 shows at most 5 %; a tenth can only fail to refute it (3 standard errors)."""
    if runs >= 5000:
        return worlds.at_most(0.05, runs)
    return int(0.05 * runs + 3 * np.sqrt(0.05 * 0.95 * runs))


def test_224_of_5000_is_the_limit():
    assert allowed(5000) == 224


def plus(arms, gain, floor=0.8):
    return (floor,) * (arms - 1) + (floor + gain,)


CELLS = [
    *[(f"equal, {arms} arms", (0.8,) * arms, 0.05) for arms in (2, 3, 4, 5, 8)],
    *[(f"rival just inside the margin, {arms} arms", plus(arms, 0.049), 0.05) for arms in (2, 5)],
    *[(f"tuning +5, {arms} arms", plus(arms, 0.05, 0.7), 0.05) for arms in (2, 3, 5)],
    ("tuning +15", plus(5, 0.15, 0.7), 0.10),
    ("tuning +15, margin .05", plus(2, 0.15, 0.7), 0.05),
    ("near the ceiling", (0.96, 0.97, 0.97, 0.98, 0.985), 0.05),
    ("simplest just more than the margin below", (0.70, 0.751, 0.751, 0.751), 0.05),
    ("random", worlds.TRUTHS["random"], 0.05),
    ("equal, any gain counts, 2 arms", (0.7,) * 2, 0.0),
    ("equal, any gain counts, 3 arms", (0.7,) * 3, 0.0),
]


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize(("name", "truth", "margin"), CELLS, ids=[c[0] for c in CELLS])
def test_p19_bounds_hold_and_no_arm_is_needlessly_complex(name, truth, margin, runs):
    arms = 5 if callable(truth) else len(truth)
    one_sided = bounds.level(0.05)
    for n in (100, 250, 500):
        for at, rho in enumerate((worlds.NEAR, worlds.FAR)):
            rng = np.random.default_rng([19, n, at, arms])
            cell = worlds.study_cell(rng, runs, n, truth, margin, rho, level=one_sided)
            assert cell["broken"] * runs <= allowed(runs), (n, rho)
            if name.startswith("equal"):
                assert cell["needless"] * runs <= allowed(runs), (n, rho)


@pytest.mark.full
def test_p19_bounds_at_twice_the_level_break_too_often():
    rng = np.random.default_rng(8)
    cell = worlds.study_cell(rng, 3000, 250, plus(2, 0.03), 0.05, worlds.FAR, level=0.10)
    assert cell["broken"] * 3000 > 0.05 * 3000 + 3 * np.sqrt(0.05 * 0.95 * 3000)


@pytest.mark.long
def test_p19_leaving_out_every_beaten_rival_breaks_too_often():
    """Those not beaten by then are the lucky ones; so only rivals beaten by far are left out."""
    rng, truth = np.random.default_rng(29), np.broadcast_to(plus(5, 0.049), (2000, 5))
    scores = worlds.answers(rng, 2000, 500, truth, worlds.NEAR)
    found = {}
    for largest in (None, worlds.LARGEST):
        parts = worlds.pair_bounds(scores, bounds.level(0.05), largest=largest)
        named = ladder.climb_many(*parts, 0.0)
        found[largest] = worlds.outcome(truth, named, 0.0)["broken"]
    assert found[None] > 0.05 > 0.04 > found[worlds.LARGEST]


@pytest.mark.parametrize("runs", TIERS)
def test_p19_tuning_15_points_better_is_found_on_250_rows(runs):
    for rho in (worlds.NEAR, worlds.FAR):
        rng = np.random.default_rng(15)
        cell = worlds.study_cell(rng, runs, 250, worlds.TRUTHS["+15"], 0.05, rho)
        assert cell["firm"] >= 0.90
        wide = worlds.study_cell(
            rng, runs, 250, worlds.TRUTHS["+15"], 0.05, rho, factor=worlds.last_fitted(5)
        )
        assert 0.80 < wide["firm"] <= cell["firm"] + 0.01


@pytest.mark.parametrize("runs", TIERS)
def test_p19_ten_looks_at_the_same_cases_are_paid_for(runs):
    """The tenth study names what looked best of ten: at alpha / 110 it errs less than one may."""
    for rho in (worlds.NEAR, worlds.FAR):
        found = worlds.ten_looks(np.random.default_rng(10), runs, 250, rho)
        assert found["k-th, paid"] * runs <= allowed(runs)
        assert found["k-th, free"] > 0.10
        assert found["any, paid"] < 0.5 * found["any, free"]  # any of ten: published, no promise


@pytest.mark.parametrize("runs", TIERS)
def test_p19_every_margin_of_the_strip_keeps_the_limits_and_the_named_arm_its_interval(runs):
    for name in ("equal", "prompt enough", "random"):
        truth = worlds.TRUTHS[name]
        level = bounds.level(0.05)
        rules = {m: (m / 100, level, 1.0) for m in (0, 1, 2, 5, 10, 20)}
        found = worlds.ladder_cells(np.random.default_rng(17), runs, 250, truth, 0.9, rules)
        for margin, cell in found.items():
            assert cell["broken"] * runs <= allowed(runs), (name, margin)
            assert name != "equal" or cell["needless"] * runs <= allowed(runs), margin
            assert cell["covers"] >= worlds.floor(0.9435, runs), (name, margin)


GRADED = {"equal": (0.8,) * 2, "equal, 3 arms": (0.8,) * 3, "just inside": (0.8, 0.8, 0.849)}


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize(
    "family", [name if not k else pytest.param(name, marks=pytest.mark.long)
               for k, name in enumerate(graded.FAMILIES)],
)  # fmt: skip
def test_p19_graded_scores_keep_the_limits(family, runs):
    for n, rho in ((50, worlds.NEAR), (100, worlds.NEAR), (100, worlds.FAR), (250, worlds.NEAR)):
        for name, truth in GRADED.items():
            rules = {"": (0.0, bounds.level(0.05))}
            rng = np.random.default_rng([18, n, len(truth)])
            cell = graded.cells(rng, runs, n, truth, rho, family, rules)[""]
            assert cell["broken"] * runs <= allowed(runs), (name, n, rho)
            assert cell["covers"] >= worlds.floor(0.9435, runs), (name, n, rho)
            if name.startswith("equal"):
                assert cell["needless"] * runs <= allowed(runs), (name, n, rho)


@pytest.mark.full
def test_p19_bca_alone_is_too_narrow_where_few_rows_are_far_out():
    rng, family = np.random.default_rng(19), "few total losses"
    scores, _ = graded.answers(rng, 2000, 100, (0.8, 0.8), worlds.NEAR, family)
    diffs, level = scores[..., 1] - scores[..., 0], bounds.level(0.05, 1, 2)
    assert (graded.bca_many(diffs, level)[0] > 0).mean() > 0.08
    assert (graded.paired_many(diffs, level)[0] > 0).mean() < 0.045


def test_the_vectorised_graded_bounds_are_the_shipped_ones():
    for family in graded.FAMILIES:
        rng = np.random.default_rng(20)
        scores, _ = graded.answers(rng, 6, 60, (0.7, 0.75), worlds.NEAR, family)
        diffs = scores[..., 1] - scores[..., 0]
        low, high = graded.paired_many(diffs, 0.0125)
        below, above = graded.mean_many(scores[..., 0], 0.025)
        for row in range(6):
            found = bounds.paired(diffs[row], 0.0125)
            assert (low[row], high[row]) == pytest.approx((found.low, found.high), abs=1e-7)
            one = bounds.mean_interval(scores[row, :, 0])
            assert (below[row], above[row]) == pytest.approx(one[1:], abs=1e-7)


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize("k", [1, 5])
def test_p19_an_arm_that_retrains_differently_keeps_the_limits(k, runs):
    """True is the artefact that will be built: one more fit, the seed best on dev."""
    for sd, n in ((0.0, 250), (0.01, 250), (0.02, 250), (0.03, 900)):
        for truth in ((0.8, 0.8), (0.8, 0.8, 0.849)):
            rng = np.random.default_rng([21, k, int(100 * sd), len(truth)])
            cell = folded.cell(rng, runs, n, truth, worlds.NEAR, k=k, sd=sd)
            assert cell["broken"] * runs <= allowed(runs), (sd, truth)
            assert cell["covers"] >= worlds.floor(0.9435, runs), (sd, truth)


@pytest.mark.full
def test_p19_five_folds_alone_do_not_show_how_much_retrainings_differ(monkeypatch):
    monkeypatch.setattr(folded, "RETRAINING_SD", 0.0)
    rng = np.random.default_rng(25)
    cell = folded.cell(rng, 2000, 900, (0.8, 0.8), worlds.NEAR, k=5, sd=0.03)
    assert cell["broken"] * 2000 > allowed(2000)


@pytest.mark.full
def test_p19_row_by_row_the_score_of_a_retrained_arm_is_not_covered():
    truth = (0.7, 0.7, 0.85)
    cell = folded.cell(np.random.default_rng(22), 2000, 250, truth, worlds.NEAR, k=5, sd=0.02)
    assert cell["rows alone"] < 0.92 < 0.9435 <= cell["covers"]


def test_the_vectorised_fold_widening_is_the_shipped_one():
    scores, folds, _ = folded.study(np.random.default_rng(23), 8, 100, (0.7, 0.8), 0.6, 5, 0.05, 2)
    diffs = scores[..., 1].astype(float) - scores[..., 0]
    for least in (0.0, 0.02):
        found = [fold_width_factor(row, Folds(folds, least), 1.5) for row in diffs]
        assert folded.fold_widening(diffs, folds, 1.5, least) == pytest.approx(found)


@pytest.mark.parametrize("runs", PEEKS)
def test_p19_peeking_is_safe_with_the_betting_bound_only(runs):
    n, level, misses, naive = 300, 0.05 / 3, 0, 0
    rng = np.random.default_rng(12)
    looks = np.arange(30, n + 1, 30)
    for _ in range(0, runs, 100):
        D = rng.choice([-1.0, 0.0, 1.0], (100, n), p=[0.1, 0.8, 0.1])
        living = stats_looks.not_rejected(D, np.zeros(1), 2 * level)[..., 0]
        misses += int((~living[:, -1]).sum())
        wins, losses = (D > 0).cumsum(1)[:, looks - 1], (D < 0).cumsum(1)[:, looks - 1]
        out = np.zeros(100, bool)
        for at, rows in enumerate(looks):
            low, high = discordant_bounds(wins[:, at], losses[:, at], int(rows), level)
            out |= (low > 0) | (high < 0)
        naive += int(out.sum())
    assert misses <= 2 * level * runs
    assert naive > 2 * level * runs + 3 * np.sqrt(2 * level * runs)


@pytest.mark.full
def test_power_is_what_plan_prints():
    n, d, runs = 250, 0.2, 4000
    gain = power.minimum_detectable_effect(n, d)
    rng = np.random.default_rng(14)
    D = rng.choice([-1, 0, 1], (runs, n), p=[(d - gain) / 2, 1 - d, (d + gain) / 2])
    low, _ = discordant_bounds((D > 0).sum(1), (D < 0).sum(1), n, 0.025)
    assert (low > 0).mean() == pytest.approx(0.80, abs=0.03)


@pytest.mark.full
def test_the_rule_of_one_study_is_the_rule_of_many():
    rng = np.random.default_rng(16)
    mean, low, high = worlds.pair_bounds(worlds.answers(rng, 50, 100, (0.7, 0.75, 0.8), 0.6), 0.02)
    rung, left, firm = ladder.climb_many(mean, low, high, 0.05)
    for run in range(50):
        pairs = {
            (b, s): (mean[run, s, b], low[run, s, b], high[run, s, b])
            for b in range(3)
            for s in range(3)
        }
        assert ladder.climb(range(3), pairs, 0.05)[:3] == (rung[run], left[run], firm[run])
