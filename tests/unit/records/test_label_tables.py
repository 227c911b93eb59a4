"""What is wrong with a table of probabilities of labels."""

import pytest

from tuneworthy.records.answer import label_table_fault

LABELS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("table", "what"),
    [({"a": 0.5, "b": 0.3, "c": 0.2}, ""), ({"a": 0.5, "b": 0.3, "c": 0.21}, ""),
     ({"a": 0.7, "b": 0.3}, ""), ({"a": 0.2}, ""), ({"a": 1, "b": 0, "c": 0}, ""), ({}, ""),
     ({"a": 0.5, "b": 0.3, "c": 0.3}, "sum to 1.1, not to 1"),
     ({"a": 0.5, "b": 0.3, "c": 0.1}, "sum to 0.9, not to 1"),
     ({"a": 0.7, "b": 0.4}, "sum to 1.1, above 1"), ({"d": 0.5}, "`d` is no label"),
     ({"a": "0.5"}, "is no number"), ({"a": True}, "is no number"), ({"a": None}, "is no number"),
     ({"a": -0.1}, "not from 0 to 1"), ({"a": float("nan")}, "not from 0 to 1"),
     ({"a": float("inf")}, "not from 0 to 1")],
)  # fmt: skip
def test_probabilities_are_checked_one_by_one_and_in_sum(table, what):
    found = label_table_fault(table, LABELS)
    assert what in found
    assert bool(found) is bool(what)
