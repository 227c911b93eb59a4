"""What mistakes cost: the table, its faults, and the cheapest label."""

import pytest

from tuneworthy.records.mistake_costs import cheapest_label, cost_of, costs_fault, dearest

COSTS = {"fraud": 40.0, "legit > fraud": 1.0, "other": 2.0}


@pytest.mark.parametrize(("right", "said", "cost"), [
    ("fraud", "fraud", 0), ("fraud", "legit", 40), ("legit", "fraud", 1), ("legit", "spam", 2),
    ("spam", "legit", 2), ("fraud", None, 40), ("legit", None, 2),
])  # fmt: skip
def test_a_mistake_costs_what_the_table_says(right, said, cost):
    assert cost_of(COSTS, right, said) == cost
    assert dearest(COSTS) == 40


def test_without_other_an_unnamed_label_costs_nothing():
    assert cost_of({"fraud": 5.0}, "legit", "fraud") == 0


def test_the_cheapest_label_need_not_be_the_likeliest():
    table = {"legit": 0.9, "fraud": 0.1}
    assert cheapest_label(COSTS, table) == "fraud"
    assert cheapest_label({"other": 1.0}, table) == "legit"
    assert cheapest_label({"other": 1.0}, {"a": 0.5, "b": 0.5}) == "a"


@pytest.mark.parametrize(("costs", "words"), [
    ({"frod": 1.0, "other": 1.0}, "no label is called frod"),
    ({"fraud > x": 1.0, "other": 1.0}, "no label is called x"),
    ({"other": 0.0}, "no mistake costs anything"),
    ({}, "no mistake costs anything"),
    ({"fraud": 1.0}, "no cost of a mistake on legit"),
    ({"fraud": 1.0, "other": 0.0}, ""),
    ({"fraud": 1.0, "legit": 2.0}, ""),
])  # fmt: skip
def test_a_table_that_does_not_fit_is_refused(costs, words):
    fault = costs_fault(costs, ("fraud", "legit"))
    assert words in fault
    assert bool(words) == bool(fault)
