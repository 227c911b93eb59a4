"""The size of a next step, and the chance that it settles a pair: against bounds and draws."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import norm

from tuneworthy.matrix import sizing
from tuneworthy.matrix.sizing import (
    MIN_CHANCE,
    POWER,
    level_at_next_look,
    noninferiority_assurance,
    observed_width_factor,
    superiority_assurance,
)
from tuneworthy.stats import bounds
from tuneworthy.stats.graded import discordant_bounds

LEVEL = bounds.level(0.05, 1, 2)
NEXT = LEVEL / 2


class Seen(NamedTuple):
    n: int
    mean: float
    low: float
    high: float
    level: float
    factor: float
    wins: int
    losses: int
    differ: int
    low_level: float | None = None


def rows_of(wins, losses, n, by=1.0):
    return np.r_[by * np.ones(wins), -by * np.ones(losses), np.zeros(n - wins - losses)]


def seen(values, level=LEVEL, factor=1.0, groups=None):
    found = bounds.paired(values, level, factor, groups)
    return Seen(found.n, round(found.mean, 6), round(found.low, 6), round(found.high, 6), level,
                factor, found.wins, found.losses, found.differ)  # fmt: skip


def drawn(pair, outlook, rows, runs=4000, base=0.0):
    """Return how often so many rows like a pair's settle it, the truth drawn around what it saw."""
    rng = np.random.default_rng(4)
    spread = np.sqrt((pair.differ + 1) / pair.n - pair.mean**2) / np.sqrt(pair.n)
    truth = np.clip(rng.normal(pair.mean, spread, runs), -0.9 * base, 0.9 * base)
    p = np.c_[(base + truth) / 2, (base - truth) / 2, np.full(runs, 1 - base)]
    more = rng.multinomial(rows - pair.n, p)
    low, high = discordant_bounds(
        pair.wins + more[:, 0], pair.losses + more[:, 1], rows, outlook.level
    )
    mean = (pair.wins - pair.losses + more[:, 0] - more[:, 1]) / rows
    return ((high <= outlook.below) | ((low > outlook.above) & (mean >= outlook.least))).mean()


@pytest.mark.parametrize(("wins", "losses"), [(25, 25), (30, 20), (34, 16), (14, 6), (20, 18)])
def test_the_chance_is_how_often_rows_drawn_from_what_is_known_settle_it(wins, losses):
    pair = seen(rows_of(wins, losses, 250))
    outlook = superiority_assurance(pair, 0.05, NEXT)
    for rows in (500, 1000):
        chance = drawn(pair, outlook, rows, base=(wins + losses) / 250)
        assert outlook.chance(rows) == pytest.approx(chance, abs=0.05)


def test_the_chance_by_hand():
    pair = seen(rows_of(30, 20, 250))
    low, high = (float(end) for end in discordant_bounds(60, 40, 500, NEXT))
    spread = np.sqrt((51 / 250 - 0.04**2) / 250) * np.sqrt(1 / 2)
    under = norm.cdf((0.05 - high) / spread)
    over = norm.sf((max(0.05, 0.04 - low) - 0.04) / spread)
    assert superiority_assurance(pair, 0.05, NEXT).chance(500) == pytest.approx(under + over)
    assert superiority_assurance(pair, 0.05, NEXT).chance(250) == 0.0


def test_a_size_is_the_first_with_a_chance_of_point_eight():
    outlook = superiority_assurance(seen(rows_of(8, 3, 250)), 0.05, NEXT)
    size = outlook.size()
    assert outlook.chance(size.rows - 1) < POWER <= outlook.chance(size.rows) == size.chance
    assert size.sooner == outlook.chance(500) < POWER
    assert size.more(250) == size.rows - 250
    assert size.more(2000) == 1
    few = superiority_assurance(seen(np.zeros(60)), 0.05, NEXT)
    assert few.size().sooner is None
    assert (
        few.chance_by_clicks(few.size().inputs - 1)
        < POWER
        <= few.chance_by_clicks(few.size().inputs)
    )
    assert few.size().rows < few.size().inputs < few.most_rows == 1000


def test_where_that_takes_more_than_anybody_labels_it_is_four_times_the_rows():
    outlook = superiority_assurance(seen(rows_of(60, 40, 500)), 0.05, NEXT)
    size = outlook.size()
    assert size.rows == outlook.most_rows == 2000
    assert MIN_CHANCE < size.sooner < size.chance < POWER
    assert size.chance == outlook.chance(2000)


def test_at_the_margin_rows_may_well_settle_it():
    assert superiority_assurance(seen(rows_of(20, 1, 400)), 0.05, NEXT).size().chance > 0.5


def test_a_cheaper_arm_at_its_margin_is_settled_by_no_number_of_rows():
    """It is to be shown on one side of one line, where a rival has all from 0 to the margin."""
    outlook = noninferiority_assurance(seen(rows_of(0, 20, 400)), 0.05, NEXT)
    assert outlook.chance(outlook.most_rows) == pytest.approx(0.24, abs=0.01)
    assert outlook.size() is None


def test_no_size_is_named_where_far_more_rows_have_little_chance():
    outlook = superiority_assurance(seen(rows_of(22, 20, 300), factor=1.5), 0.005, NEXT)
    assert outlook.chance(outlook.most_rows) < MIN_CHANCE
    assert outlook.size() is None


@pytest.mark.parametrize("factor", [1.0, 1.5])
@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(0, 0, 60), (0, 0, 200), (1, 1, 60), (4, 2, 250)]
)
def test_so_many_rows_of_the_same_kind_settle_where_few_differ(wins, losses, n, factor):
    size = superiority_assurance(seen(rows_of(wins, losses, n), factor=factor), 0.05, NEXT).size()
    counts = (round(k * size.rows / n) for k in (wins, losses))
    assert bounds.paired(rows_of(*counts, size.rows), NEXT, factor).high <= 0.05


def test_what_widens_a_bound_lowers_the_chance_of_rows_and_not_that_of_clicks():
    values = rows_of(25, 25, 300)
    plain, fitted = (superiority_assurance(seen(values, factor=f), 0.05, NEXT) for f in (1.0, 1.5))
    assert plain.chance(600) > fitted.chance(600) + 0.1
    assert plain.chance_by_clicks(900) == fitted.chance_by_clicks(900)
    alike = [f"g{i // 5}" for i in range(300)]
    grouped = seen(values, groups=alike)
    assert observed_width_factor(grouped) > 1.5
    assert superiority_assurance(grouped, 0.05, NEXT).chance(600) < plain.chance(600) - 0.1


@pytest.mark.parametrize("wrong", [(2, 3), (0, 3), (4, 4)])
def test_near_copies_of_few_texts_are_forecast_with_the_width_of_each_side(wrong):
    """300 rows of 12 texts: one more row narrows no bound, though one side is far the wider."""
    texts = np.zeros(12)
    texts[: wrong[0]], texts[12 - wrong[1] :] = 1, -1
    pair = seen(np.tile(texts, 25), groups=np.tile(np.arange(12), 25))
    same = superiority_assurance(pair, 0.05, LEVEL)
    down, up = same.sides(pair.n + 1)
    assert down == pytest.approx(pair.mean - pair.low, rel=0.02)
    assert up == pytest.approx(pair.high - pair.mean, rel=0.02)
    assert superiority_assurance(pair, 0.05, NEXT).chance(pair.n + 1) < 0.05
    size = superiority_assurance(pair, 0.05, NEXT).size()
    assert size is None or size.more(pair.n) > 100


def test_a_side_that_was_cut_at_the_end_of_the_scale_is_taken_to_be_as_wide_as_the_other():
    pair = seen(np.tile([1, 1, 1, 0], 25), groups=np.tile(np.arange(4), 25))
    assert pair.high == 1
    down, up = sizing._width_factors(pair)
    assert up >= down > 1


def test_graded_scores_are_forecast_from_their_width():
    pair = seen(rows_of(50, 40, 100, 0.25))
    outlook = superiority_assurance(pair, 0.05, NEXT)
    error = (pair.high - pair.low) / 2 / norm.ppf(1 - LEVEL)
    half = [(end - pair.mean) / norm.ppf(1 - LEVEL) * norm.ppf(1 - NEXT) / np.sqrt(2)
            for end in (pair.low, pair.high)]  # fmt: skip
    under = norm.cdf((0.05 - half[1] - pair.mean) / error * np.sqrt(2))
    over = norm.cdf((pair.mean - max(0.05, -half[0])) / error * np.sqrt(2))
    assert outlook.chance(200) == pytest.approx(under + over)
    folded = superiority_assurance(seen(rows_of(50, 40, 100, 0.25), factor=1.5), 0.05, NEXT)
    assert folded.chance(200) < outlook.chance(200)
    assert folded.chance_by_clicks(300) == pytest.approx(outlook.chance_by_clicks(300), abs=1e-5)


def test_a_price_a_request_moves_what_is_to_be_shown():
    pair = seen(rows_of(12, 8, 400))
    shifted = superiority_assurance(pair, 0.05, NEXT, 0.01)
    assert (shifted.below, shifted.above) == (pytest.approx(0.04), -0.01)
    assert shifted.chance(800) < superiority_assurance(pair, 0.05, NEXT).chance(800)


def test_a_cheaper_arm_is_shown_worse_or_within_the_margin():
    same = noninferiority_assurance(seen(np.zeros(60)), 0.05, NEXT).size()
    assert same.rows == superiority_assurance(seen(np.zeros(60)), 0.05, NEXT).size().rows
    worse = noninferiority_assurance(seen(rows_of(10, 50, 400)), 0.05, NEXT)
    better = superiority_assurance(seen(rows_of(50, 10, 400)), 0.05, NEXT)
    assert worse.below == worse.above == worse.least == -0.05
    assert worse.chance(800) < better.chance(800)


def test_the_level_of_the_next_look():
    assert level_at_next_look(bounds.level(0.05, 1, 3), 1) == pytest.approx(
        bounds.level(0.05, 2, 3)
    )
    assert level_at_next_look(bounds.level(0.05, 3, 2), 3) == pytest.approx(
        bounds.level(0.05, 4, 2)
    )
