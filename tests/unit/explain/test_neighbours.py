"""Rows of one source that stand next to each other without a group are found, and said."""

import numpy as np
import pytest

from tuneworthy.explain.trends import neighbours
from tuneworthy.records.case import Case, Message


def rows(n=100, size=5, where="rows.jsonl", **more):
    """Return n cases, `size` of one document next to each other, with inputs in no order."""
    texts = np.random.default_rng(1).permutation(n)
    return [
        Case(id=f"r{at:03}", messages=(Message(role="user", content=f"{texts[at]} asked" * 3),),
             output=f"answer {at}", where=f"{where}:{at + 1}",
             meta={"doc": at // size, "day": "monday"}, **more)
        for at in range(n)
    ]  # fmt: skip


def scores(cases, size=5):
    """Return scores of two arms; the second one loses whole documents."""
    lost = np.random.default_rng(2).random(len(cases)) < 0.3
    return {
        "one": {case.id: 1.0 for case in cases},
        "two": {case.id: float(not lost[at // size]) for at, case in enumerate(cases)},
    }


def alike(cases, found=None, groups=None):
    return list(neighbours(cases, found or scores(cases), groups or {}))


def test_documents_are_found_in_file_order_and_the_column_that_names_them():
    cases = rows()
    (test,) = alike(cases[::-1])  # the order of the list is not that of the file
    assert (test.arm, test.versus, test.n, test.column) == ("one", "two", 100, "doc")
    assert test.p < 0.01


def test_ids_name_the_source_where_no_column_does():
    cases = [
        case.model_copy(update={"meta": {}, "id": f"doc{at // 5}-{at % 5}"})
        for at, case in enumerate(rows())
    ]
    assert alike(cases)[0].column == "id"


def test_rows_in_no_order_are_no_alarm():
    cases = rows()
    mixed = np.random.default_rng(3).permutation(100)
    moved = [
        case.model_copy(update={"where": f"rows.jsonl:{at}"})
        for case, at in zip(cases, mixed, strict=True)
    ]
    (test,) = alike(moved)
    assert test.p > 0.01
    assert test.column == "", "no column's values stand next to each other there"


def test_copies_of_one_input_count_once():
    cases = rows()
    copies = {case.id: f"r{at // 5 * 5:03}" for at, case in enumerate(cases)}
    (test,) = alike(cases, groups=copies)
    assert test.n == 20
    assert test.p > 0.01


def test_documents_that_lie_across_the_named_groups_are_found():
    cases = [case.model_copy(update={"group": f"g{at % 40}"}) for at, case in enumerate(rows())]
    (test,) = alike(cases, groups={case.id: case.group for case in cases})
    assert test.n == 40
    assert test.p < 0.01


@pytest.mark.parametrize(
    "cases",
    [
        [case.model_copy(update={"group": case.id}) for case in rows()],
        [case.model_copy(update={"where": ""}) for case in rows()],
        [case.model_copy(update={"messages": (Message(role="user", content=f"{at:03}"),)})
         for at, case in enumerate(rows())],
    ],
    ids=["each row is a group", "no place is known", "sorted by input"],
)  # fmt: skip
def test_what_says_nothing_is_not_tested(cases):
    assert alike(cases) == []


def test_rows_sorted_by_class_are_no_alarm():
    cases = [
        case.model_copy(update={"output": f"class {at // 25}", "meta": {}})
        for at, case in enumerate(rows())
    ]
    draw = np.random.default_rng(5).random(100)
    right = {case.id: float(draw[at] < (0.1, 0.9)[at // 25 % 2]) for at, case in enumerate(cases)}
    found = {"one": {case.id: 1.0 for case in cases}, "two": right}
    assert alike(cases, found)[0].p > 0.01


def test_no_rows_and_no_shared_rows_show_nothing():
    assert alike([], {"one": {}, "two": {}}) == []
    (test,) = alike(rows(), {"one": {"r000": 1.0}, "two": {"r001": 1.0}})
    assert (test.n, test.p) == (0, None)
