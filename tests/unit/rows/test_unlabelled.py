"""Unlabelled inputs that a student may learn from are no copies of labelled rows."""

import pytest
from tests import studies

from tuneworthy.records.case import Case, Message, Query
from tuneworthy.rows.leaks import free_of_copies

LONG = "The parcel that I ordered last Monday from your shop in Bath has not arrived, please help"


def query(at, text):
    return Query(id=f"u{at}", messages=(Message(role="user", content=text),))


def case(at, text):
    return Case(id=f"c{at}", messages=(Message(role="user", content=text),), output="delivery")


@pytest.mark.parametrize(
    "copy",
    [LONG, LONG.upper(), LONG.replace(" ", "  "), f"{LONG}!", LONG.replace("Bath", "bath,"),
     LONG.replace("please help", "please advise")],
)  # fmt: skip
def test_p10_a_copy_of_a_labelled_row_is_not_learnt_from(copy):
    other = query(1, "Where can I change my password for the second account that I hold with you?")
    assert free_of_copies([query(0, copy), other], [case(0, LONG)]) == [other]
    assert len(free_of_copies([query(0, copy), other], [])) == 2, "the control: nothing is labelled"


def test_an_input_is_taken_once_and_a_near_copy_of_another_input_may_stay():
    twice = [query(0, LONG), query(1, LONG), query(2, LONG + " today")]
    assert free_of_copies(twice, []) == [twice[0], twice[2]]


def test_an_input_of_a_labelled_rows_group_is_not_learnt_from():
    given = [query(0, "Where is it?"), query(1, "May I swap it for a blue one?")]
    given[0] = given[0].model_copy(update={"group": "customer 7"})
    row = case(0, LONG).model_copy(update={"group": "customer 7"})
    assert free_of_copies(given, [row]) == [given[1]]
    assert free_of_copies(given, [case(0, LONG)]) == given, "the control: the row has no group"


def test_p10_clean_inputs_stay():
    rows = [case(at, row["input"]) for at, row in enumerate(studies.rows(60))]
    given = [query(at, row["input"]) for at, row in enumerate(studies.rows(200, seed=7))]
    assert len(free_of_copies(given, rows)) >= 0.9 * len(given)
