"""The size of a next step: rows that settle a pair, tried with the bounds that hold it open."""

from typing import NamedTuple

import numpy as np
import pytest

from tuneworthy.stats import betting, bounds, power
from tuneworthy.stats.sizing import widened, within, worth_it

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


def rows_of(wins, losses, n, by=1.0):
    return np.r_[by * np.ones(wins), -by * np.ones(losses), np.zeros(n - wins - losses)]


def seen(values, level=LEVEL, factor=1.0, groups=None):
    found = bounds.paired(values, level, factor, groups)
    return Seen(found.n, round(found.mean, 6), round(found.low, 6), round(found.high, 6), level,
                factor, found.wins, found.losses, found.differ)  # fmt: skip


def test_the_next_step_of_the_worked_example():
    size = worth_it(seen(rows_of(8, 3, 250), 0.05 / 3, 1.5), 0.05, 0.025 / 3)
    assert size == (280, 630)
    assert power.settle_size(size.inputs, 0.17) == (420, 71)
    assert (size.more(250), size.more(2000)) == (380, 1)


@pytest.mark.parametrize("factor", [1.0, 1.5])
@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(0, 0, 60), (0, 0, 200), (1, 1, 60), (4, 2, 250), (0, 9, 100)]
)
def test_so_many_rows_of_the_same_kind_settle_where_few_differ(wins, losses, n, factor):
    size = worth_it(seen(rows_of(wins, losses, n), factor=factor), 0.05, NEXT)

    def high(rows):
        counts = (round(k * rows / n) for k in (wins, losses))
        return bounds.paired(rows_of(*counts, rows), NEXT, factor).high

    assert high(size.rows) <= 0.05 + 0.5 / n
    assert high(size.rows * 4 // 5) > 0.05 or size.rows == -(-power.rows_to_gap(
        max(wins + losses, 1) / n, 0.05 - (wins - losses) / n, NEXT) * factor**2 // 1)  # fmt: skip


def test_two_equal_arms_on_60_rows_need_about_a_hundred_and_half_as_many_again_by_betting():
    size = worth_it(seen(np.zeros(60)), 0.05, NEXT)
    assert size == (93, 93)
    assert size.more(60) == 33
    inputs, _ = power.settle_size(size.inputs, 0.0)
    ends = betting.betting_cs(np.zeros(200), 2 * NEXT, inputs)
    closed = next(at for at, (_, high) in enumerate(ends, 1) if high <= 0.05)
    assert inputs <= closed < 1.2 * inputs


def test_groups_that_widen_a_bound_ask_for_more_labels_and_no_more_inputs():
    values = np.zeros(300)
    values[::60] = 1
    alone = worth_it(seen(values), 0.05, NEXT)
    grouped = seen(values, groups=[f"g{i % 4}" for i in range(300)])
    size = worth_it(grouped, 0.05, NEXT)
    assert grouped.high > 0.09
    assert widened(grouped) > 1.5
    assert size.inputs == alone.inputs
    assert size.rows > 2 * alone.rows > 300
    many = np.r_[values, values, values]
    wide = seen(many, groups=[f"g{i % 4}" for i in range(900)])
    by_share = power.rows_to_gap(15 / 900, 0.05 - wide.mean, NEXT)
    size = worth_it(wide, 0.05, NEXT)
    assert size == (by_share, int(np.ceil(widened(wide) ** 2 * by_share)))


def test_graded_scores_are_sized_by_their_width_where_it_asks_for_more():
    few = seen(rows_of(2, 1, 100, 0.5), factor=1.2)
    size = worth_it(few, 0.04, NEXT)
    by_share = power.rows_to_gap(3 / 100, 0.04 - few.mean, NEXT)
    assert few.high > 0.04
    assert by_share < size.inputs < size.rows
    at_this_level = 100 * ((few.high - few.mean) / (0.04 - few.mean)) ** 2
    assert size.rows > at_this_level
    assert worth_it(few, 0.04, LEVEL).rows == int(np.ceil(at_this_level))
    many = seen(rows_of(50, 40, 100, 0.25))
    by_share = power.rows_to_gap(0.9, 0.05 - many.mean, NEXT)
    assert worth_it(many, 0.05, NEXT) == (by_share, by_share)
    better = seen(rows_of(6, 1, 100, 0.9))
    assert worth_it(better, 0.02, NEXT).rows > 100 * (1 - better.low / better.mean) ** 2


def test_a_price_a_request_moves_what_is_to_be_shown():
    pair = seen(rows_of(12, 8, 400))
    assert worth_it(pair, 0.05, NEXT, 0.01) == worth_it(pair, 0.04, NEXT)
    beaten = worth_it(seen(rows_of(30, 8, 400)), 0.03, NEXT)
    assert beaten.rows == power.rows_to_gap(38 / 400, 22 / 400, NEXT)


def test_no_number_is_named_at_the_margin_or_where_none_would_do():
    assert worth_it(seen(rows_of(20, 1, 400)), 0.05, NEXT) is None
    assert worth_it(seen(np.zeros(400)), 0.0, NEXT) is None
    assert within(seen(rows_of(0, 20, 400)), 0.05, NEXT) is None


def test_a_cheaper_arm_is_shown_worse_or_within_the_margin():
    assert within(seen(np.zeros(60)), 0.05, NEXT) == (93, 93)
    worse = within(seen(rows_of(10, 60, 400)), 0.05, NEXT)
    assert worse.rows == power.rows_to_gap(70 / 400, 0.075, NEXT)
