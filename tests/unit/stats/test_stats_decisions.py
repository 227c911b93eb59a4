"""Ladder, power, settling and break-even: the worked example and the printed tables."""

import numpy as np
import pytest

from tuneworthy.explain import costs
from tuneworthy.matrix import ladder
from tuneworthy.stats import bounds, power

ORDER = ["keep", "prompt", "schema", "tune"]
COUNTS = {("prompt", "keep"): (18, 8), ("schema", "keep"): (41, 14), ("tune", "keep"): (46, 14),
          ("schema", "prompt"): (20, 3), ("tune", "prompt"): (27, 5),
          ("tune", "schema"): (8, 3)}  # fmt: skip


@pytest.fixture(scope="module")
def example():
    found = {}
    for (b, s), (wins, losses) in COUNTS.items():
        rows = np.r_[np.ones(wins), -np.ones(losses), np.zeros(250 - wins - losses)]
        found[b, s] = bounds.paired(rows, 0.05 / 3, 1.5)
        found[s, b] = bounds.paired(-rows, 0.05 / 3, 1.5)
    return found


def test_the_worked_example_names_schema_and_leaves_7_points(example):
    name, left, firm, _ = ladder.climb(ORDER, example, 0.05)
    assert (name, round(left, 3), firm) == ("schema", 0.072, False)


def test_the_strip_of_the_worked_example(example):
    strip = [ladder.climb(ORDER, example, points / 100) for points in range(21)]
    names = [rung.name for rung in strip]
    assert names == ["schema"] * 13 + ["keep"] * 8
    assert [rung.firm for rung in strip] == [8 <= points <= 12 for points in range(21)]
    assert [rung.passed for rung in strip[8:10]] == [(), ("prompt",)]


def test_a_margin_a_pair_makes_it_firm(example):
    pays = {("keep", "schema"): 0.0375, ("prompt", "schema"): 0.0125, ("schema", "tune"): 0.63}
    rung = ladder.climb(ORDER, example, lambda s, b: pays.get((s, b), 0.6))
    assert (rung.name, rung.firm) == ("schema", True)


def test_one_arm_stands_none_is_refused_and_a_circle_ends_at_the_top():
    assert ladder.climb(["keep"], {}, 0.05)[:3] == ("keep", 0.0, True)
    with pytest.raises(ValueError):
        ladder.climb([], {}, 0.05)
    circle = {(b, s): (0.1, 0.05, 0.2) for b in "abc" for s in "abc" if b != s}
    assert ladder.climb("abc", circle, 0.05) == ("c", 0.2, False, ())


@pytest.mark.parametrize(("middle", "named"), [(0.03, "c"), (0.05, "b")])
def test_a_step_in_between_is_passed_over_where_it_gains_little(middle, named):
    """The first is beaten by the third by 10 points; nothing is shown of the second."""
    means = {"a": 0.0, "b": middle, "c": 0.1}
    known = {
        (b, s): (means[b] - means[s], 0.01 if b + s == "ca" else -0.02, 0.2)
        for b in "abc" for s in "abc" if b != s
    }  # fmt: skip
    found = ladder.climb("abc", known, 0.05)
    assert (found.name, found.passed) == (named, ("b",) if named == "c" else ())
    assert ladder.climb("abc", known, 0.11).name == "a"


def test_a_dearer_arm_that_does_not_pay_passes_over_nothing():
    known = {(b, s): (-0.1, -0.2, 0.2) for b in "abc" for s in "abc" if b != s}
    known |= {("b", "a"): (0.1, 0.05, 0.2), ("c", "a"): (0.4, 0.3, 0.5)}
    known |= {("c", "b"): (0.3, 0.2, 0.4)}
    assert ladder.climb("abc", known, lambda s, b: 0.9 if b == "c" else 0.05).name == "b"


def test_many_studies_at_once_equal_one_at_a_time(example):
    table = np.zeros((3, 4, 4))
    for i, s in enumerate(ORDER):
        for j, b in enumerate(ORDER):
            if i != j:
                table[:, i, j] = example[b, s][:3]
    stacked = np.stack([table, table * 0], 1)
    rung, left, firm = ladder.climb_many(*stacked, 0.05)
    assert [ORDER[i] for i in rung] == ["schema", "keep"]
    assert (left[0], *firm) == (example["tune", "schema"].high, False, True)


def test_the_power_table():
    seen = [power.minimum_detectable_effect(n, 0.2) for n in (30, 50, 100, 200, 500, 1000)]
    assert seen == pytest.approx([0.204, 0.165, 0.121, 0.087, 0.056, 0.039], abs=5e-4)
    needed = [power.rows_needed(0.2, delta) for delta in (0.10, 0.05, 0.03)]
    assert needed == pytest.approx([150, 620, 1740], rel=0.01)
    assert 100 * power.minimum_detectable_effect(250, 0.2) == pytest.approx(8, abs=0.3)
    assert 100 * power.minimum_detectable_effect(250, 0.2, 1.5) == pytest.approx(12, abs=0.4)
    assert power.rows_needed(0.01, 0.5) == 1
    with pytest.raises(ValueError):
        power.minimum_detectable_effect(0, 0.2)
    with pytest.raises(ValueError):
        power.rows_needed(0.2, 0)


def test_break_even_of_the_worked_example():
    side, volume = costs.breakeven(5400, 12, 807, 0.00229, 0.05, 0.02)
    assert (side, round(volume)) == ("above", 382_067)
    assert costs.paying_margin(5400, 12, 807, 0.05, 40_000) == pytest.approx(0.6285)
    assert costs.paying_margin(900, 12, 0, 0.05, 40_000) == pytest.approx(0.0375)
    assert costs.paying_margin(-900, 12, 0, 0.05, 40_000) == 0.0
    with pytest.raises(ValueError):
        costs.paying_margin(1, 12, 1, 0, 40_000)


@pytest.mark.parametrize(
    ("terms", "found"),
    [((0, 12, -1, 0.1, 0, 0), ("always", 0.0)), ((0, 12, 1, 0, 0.05, 0), ("never", None)),
     ((0, 12, 1, -0.1, 0, 0), ("never", None)), ((0, 12, -1, -0.1, 0, 0), ("below", 10.0)),
     ((0, 12, -1, 0, 0, 0), ("always", 0.0))],
)  # fmt: skip
def test_every_side_of_break_even(terms, found):
    assert costs.breakeven(*terms) == pytest.approx(found)


def test_the_chance_to_be_better():
    assert costs.chance_better(1.645, 1.0) == pytest.approx(0.95, abs=1e-3)
    assert [costs.chance_better(m, 0) for m in (-1, 0, 1)] == [0.0, 0.5, 1.0]


def test_rows_of_a_later_look_are_worth_fewer():
    assert power.equivalent_fresh_rows(250, 1) == 250
    assert power.equivalent_fresh_rows(250, 2) == round(250 * (1.6449 / 2.2414) ** 2) == 135
    assert power.equivalent_fresh_rows(250, 10) < power.equivalent_fresh_rows(250, 3) == 97
